/* Keeps a number of requests to one URL of 127.0.0.1 running for some seconds: one thread, epoll, HTTP/1.1.
 *
 *     load PORT PATH CONCURRENCY SECONDS EVENTS BODY_FILE ["Header: value" ...]
 *
 * Each connection sends the next request when its answer is whole. EVENTS is how many stamps of upstream.c an answer
 * has, 0 for one in JSON; an answer with another number of them, another status than 200 or a broken end is an error.
 * What runs when the time is over is waited for. Prints one JSON object:
 *
 *     requests, errors, seconds, first_error
 *     answer_ms    from the request to the end of its answer: [median, 99th percentile]
 *     first_ms     from the request to the first event
 *     event_ms     from the moment at which the upstream sent an event to its arrival here, of every event */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD 16384
enum { SIZE, DATA, AFTER_DATA, TRAILER };

typedef struct {
    int fd, busy, in_head, have, status, closes, is_chunked, events;
    long left; /* of the body, or of the HTTP chunk; -1: until the connection ends */
    int part, line;
    unsigned long long started, first;
    int digits; /* of the stamp that is being read, -1: none */
    unsigned long long stamp;
    char head[HEAD + 1], size[20];
} Connection;

typedef struct {
    double *values;
    long count, room;
} Series;

static Series answers, firsts, delays;
static int poller, port, wanted_events, running, request_size;
static char *request, first_error[256];
static long errors;
static unsigned long long deadline, last_end;

static unsigned long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void add(Series *series, unsigned long long nanoseconds) {
    if (series->count == series->room) {
        series->room = series->room ? 2 * series->room : 65536;
        series->values = realloc(series->values, series->room * sizeof(double));
    }
    series->values[series->count++] = nanoseconds / 1e6;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_series(const char *name, Series *series) {
    qsort(series->values, series->count, sizeof(double), compare);
    if (series->count)
        printf(",\"%s\":[%.4f,%.4f]", name, series->values[series->count / 2],
               series->values[(long)(0.99 * (series->count - 1))]);
}

static void open_connection(Connection *c) {
    int yes = 1;
    struct sockaddr_in there = {.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (void *)&there, sizeof there)) {
        close(c->fd);
        c->fd = -1;
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct epoll_event in = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &in);
}

static void start(Connection *c) {
    if (now() >= deadline) return;
    if (c->fd < 0) open_connection(c);
    c->in_head = 1, c->have = c->events = c->is_chunked = c->closes = 0;
    c->left = -1, c->digits = -1, c->first = 0, c->part = SIZE, c->line = 0;
    c->started = now();
    if (c->fd >= 0 && send(c->fd, request, request_size, MSG_NOSIGNAL) == request_size) {
        c->busy = 1, running++;
        return;
    }
    errors++;
    if (!*first_error) snprintf(first_error, sizeof first_error, "cannot connect or send");
}

/* The answer is over; `whole` when it ended as HTTP says. */
static void end(Connection *c, int whole) {
    last_end = now();
    c->busy = 0, running--;
    if (whole && c->status == 200 && c->events == wanted_events) {
        add(&answers, last_end - c->started);
        if (c->first) add(&firsts, c->first - c->started);
    } else {
        errors++;
        if (!*first_error)
            snprintf(first_error, sizeof first_error, "status %d, %d of %d events, %s", c->status, c->events,
                     wanted_events, whole ? "whole" : "cut off");
    }
    if (!whole || c->closes) {
        close(c->fd);
        c->fd = -1;
    }
    start(c);
}

/* Looks for stamps. */
static void look(Connection *c, const char *data, long size, unsigned long long moment) {
    const char *stop = data + size;
    while (data < stop) {
        if (c->digits < 0) {
            data = memchr(data, '[', stop - data);
            if (!data) return;
            data++, c->digits = 0, c->stamp = 0;
            continue;
        }
        char letter = *data;
        if (letter == ']' && c->digits == 16) {
            if (!c->events++) c->first = moment;
            add(&delays, moment - c->stamp);
            c->digits = -1;
        } else if (c->digits < 16 && ((letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'f'))) {
            c->stamp = c->stamp << 4 | (letter <= '9' ? letter - '0' : letter - 'a' + 10);
            c->digits++;
        } else {
            c->digits = -1;
            continue; /* it may be the next one's beginning */
        }
        data++;
    }
}

/* -1 when the head is wrong, else the bytes of `data` that belong to it. */
static int read_head(Connection *c, const char *data, int size) {
    int before = c->have, room = HEAD - before, taken = size < room ? size : room;
    memcpy(c->head + before, data, taken);
    c->have += taken;
    c->head[c->have] = 0;
    char *stop = strstr(c->head, "\r\n\r\n");
    if (!stop) return c->have < HEAD ? taken : -1;
    *stop = 0;
    if (sscanf(c->head, "HTTP/1.%*d %d", &c->status) != 1) return -1;
    for (char *line = c->head; (line = strstr(line, "\r\n"));) {
        line += 2;
        if (!strncasecmp(line, "content-length:", 15)) c->left = atol(line + 15);
        if (!strncasecmp(line, "transfer-encoding: chunked", 26)) c->is_chunked = 1;
        if (!strncasecmp(line, "connection: close", 17)) c->closes = 1;
    }
    if (!c->is_chunked && c->left < 0) c->closes = 1;
    c->in_head = 0;
    return stop + 4 - c->head - before;
}

/* 1 when the answer is whole, -1 when it is no HTTP. */
static int read_chunks(Connection *c, const char *data, int size, unsigned long long moment) {
    const char *stop = data + size;
    while (data < stop) {
        if (c->part == DATA) {
            long part = stop - data < c->left ? stop - data : c->left;
            look(c, data, part, moment);
            data += part, c->left -= part;
            if (!c->left) c->part = AFTER_DATA;
        } else if (*data++ != '\n') {
            if (c->part == SIZE || c->part == TRAILER) {
                if (data[-1] != '\r' && c->line < 18) c->size[c->line++] = data[-1];
            }
        } else if (c->part == AFTER_DATA) {
            c->part = SIZE, c->line = 0;
        } else if (c->part == SIZE) {
            if (!c->line) return -1;
            c->size[c->line] = 0, c->line = 0;
            c->left = strtol(c->size, NULL, 16);
            c->part = c->left ? DATA : TRAILER;
        } else {
            if (!c->line) return 1;
            c->line = 0;
        }
    }
    return 0;
}

static int read_answer(Connection *c, const char *data, int size, unsigned long long moment) {
    if (c->in_head) {
        int taken = read_head(c, data, size);
        if (taken < 0) return -1;
        data += taken, size -= taken;
        if (c->in_head) return 0;
    }
    if (c->is_chunked) return read_chunks(c, data, size, moment);
    look(c, data, size, moment);
    if (c->left >= 0) c->left -= size;
    return c->left == 0;
}

int main(int count, char **arguments) {
    if (count < 7) return fprintf(stderr, "load PORT PATH CONCURRENCY SECONDS EVENTS BODY_FILE [HEADER ...]\n"), 2;
    port = atoi(arguments[1]);
    int connections = atoi(arguments[3]);
    wanted_events = atoi(arguments[5]);
    FILE *file = fopen(arguments[6], "rb");
    if (!file) return perror(arguments[6]), 1;
    static char body[65536];
    int body_size = fread(body, 1, sizeof body, file);
    request = malloc(body_size + 16384);
    request_size = sprintf(request, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n",
                           arguments[2], port);
    for (int i = 7; i < count; i++) request_size += sprintf(request + request_size, "%s\r\n", arguments[i]);
    request_size += sprintf(request + request_size, "Accept: */*\r\nContent-Length: %d\r\n\r\n", body_size);
    memcpy(request + request_size, body, body_size);
    request_size += body_size;
    poller = epoll_create1(0);
    unsigned long long begun = now();
    deadline = begun + atof(arguments[4]) * 1e9;
    Connection *all = calloc(connections, sizeof *all);
    for (int i = 0; i < connections; i++) all[i].fd = -1, start(&all[i]);
    static char data[65536];
    struct epoll_event events[512];
    while (running && now() < deadline + 30000000000ULL) {
        int ready = epoll_wait(poller, events, 512, 100);
        for (int i = 0; i < ready; i++) {
            Connection *c = events[i].data.ptr;
            if (c->fd < 0) continue;
            int size = recv(c->fd, data, sizeof data, 0);
            if (!c->busy) {
                if (size <= 0) close(c->fd), c->fd = -1;
                continue;
            }
            int state = size <= 0 ? -1 : read_answer(c, data, size, now());
            if (size == 0 && !c->in_head && !c->is_chunked && c->left < 0) state = 1;
            if (state) end(c, state > 0);
        }
    }
    errors += running;
    if (running && !*first_error) snprintf(first_error, sizeof first_error, "%d did not end within 30 s", running);
    printf("{\"requests\":%ld,\"errors\":%ld,\"seconds\":%.4f,\"first_error\":\"%s\"", answers.count, errors,
           (last_end > begun ? last_end - begun : 1) / 1e9, first_error);
    print_series("answer_ms", &answers);
    print_series("first_ms", &firsts);
    print_series("event_ms", &delays);
    printf("}\n");
    return 0;
}
