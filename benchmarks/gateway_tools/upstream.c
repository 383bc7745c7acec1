/* An OpenAI-compatible server that costs next to nothing: one thread, epoll, HTTP/1.1, 127.0.0.1 only.
 *
 *     upstream PORT CHUNKS INTERVAL_MS        PORT 0: any; prints "ready at http://127.0.0.1:PORT"
 *
 * A POST whose body has "stream":true gets CHUNKS server-sent events, each an HTTP chunk and a write of its own,
 * INTERVAL_MS apart (0: at once). Any other POST gets one JSON object, a GET a list of models. Each event's text holds
 * the moment at which it was sent, `[` and 16 hexadecimal digits of CLOCK_MONOTONIC in nanoseconds and `]`: whoever
 * reads it on this machine knows how long it took. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 4096
#define INPUT 65536
#define OUTPUT 262144

typedef struct {
    int fd, have;
    int streams, sent, wants_usage;
    unsigned long long due; /* of the next event */
    int place;              /* in the queue of those that wait for their time; -1: not there */
    int pending;            /* bytes of `output` that the socket has not taken */
    char input[INPUT + 1], output[OUTPUT];
} Connection;

static Connection *connections[CONNECTIONS], *queue[CONNECTIONS];
static int poller, queued, chunks;
static unsigned long long interval;

static const char *ANSWER =
    "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"mock\",\"choices\":[{"
    "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"The sea was calm that morning, and the old keeper "
    "of the lighthouse counted the boats as they left the harbour one by one.\"},\"logprobs\":null,"
    "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":24,\"completion_tokens\":27,\"total_tokens\":51}}";
static const char *MODELS = "{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":\"model\",\"created\":1}]}";
#define EVENT                                                                                                          \
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"mock\","

static unsigned long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* A binary heap by `due`. */
static void put(int place, Connection *c) { queue[place] = c, c->place = place; }

static void settle(int place) {
    Connection *c = queue[place];
    while (place && queue[(place - 1) / 2]->due > c->due) put(place, queue[(place - 1) / 2]), place = (place - 1) / 2;
    for (int child; (child = 2 * place + 1) < queued; place = child) {
        if (child + 1 < queued && queue[child + 1]->due < queue[child]->due) child++;
        if (queue[child]->due >= c->due) break;
        put(place, queue[child]);
    }
    put(place, c);
}

static void enqueue(Connection *c, unsigned long long due) {
    c->due = due;
    put(queued++, c);
    settle(queued - 1);
}

static void dequeue(Connection *c) {
    int place = c->place;
    if (place < 0) return;
    c->place = -1;
    if (place != --queued) put(place, queue[queued]), settle(place);
}

static void leave(Connection *c) {
    dequeue(c);
    close(c->fd);
    connections[c->fd] = NULL;
    free(c);
}

/* 0, or -1 when the connection is no good any more. */
static int write_out(Connection *c, const char *data, int size) {
    if (!c->pending) {
        int taken = send(c->fd, data, size, MSG_NOSIGNAL);
        if (taken == size) return 0;
        if (taken < 0 && errno != EAGAIN) return -1;
        if (taken > 0) data += taken, size -= taken;
    }
    if (c->pending + size > OUTPUT) return -1;
    memcpy(c->output + c->pending, data, size);
    c->pending += size;
    struct epoll_event both = {.events = EPOLLIN | EPOLLOUT, .data.fd = c->fd};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &both);
    return 0;
}

static int write_object(Connection *c, const char *object) {
    char message[4096];
    int size = sprintf(message, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                       strlen(object), object);
    return write_out(c, message, size);
}

static int write_event(Connection *c, const char *event, const char *after) {
    char message[2048];
    return write_out(c, message, sprintf(message, "%zx\r\n%s\r\n%s", strlen(event), event, after));
}

static int write_text(Connection *c) {
    char event[1024];
    sprintf(event, EVENT "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\" [%016llx]\"},"
                         "\"logprobs\":null,\"finish_reason\":null}]}\n\n", now());
    return write_event(c, event, "");
}

static int write_end(Connection *c) {
    if (write_event(c, EVENT "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}"
                             "\n\n", ""))
        return -1;
    if (c->wants_usage && write_event(c, EVENT "\"choices\":[],\"usage\":{\"prompt_tokens\":24,"
                                               "\"completion_tokens\":50,\"total_tokens\":74}}\n\n", ""))
        return -1;
    return write_event(c, "data: [DONE]\n\n", "0\r\n\r\n");
}

static int answer(Connection *c);

/* What is due of a stream. */
static int go_on(Connection *c) {
    while (c->sent < chunks) {
        if (write_text(c)) return -1;
        c->sent++;
        if (interval && c->sent < chunks) {
            enqueue(c, c->due + interval);
            return 0;
        }
    }
    c->streams = 0;
    return write_end(c) ? -1 : answer(c);
}

/* Answers the request that `input` begins with, once it is whole. */
static int answer(Connection *c) {
    if (c->streams || !c->have) return 0;
    c->input[c->have] = 0;
    char *end = strstr(c->input, "\r\n\r\n");
    if (!end) return c->have < INPUT ? 0 : -1;
    int head = end + 4 - c->input, length = 0, is_chunked = 0;
    *end = 0;
    for (char *line = c->input; (line = strstr(line, "\r\n"));) {
        line += 2;
        if (!strncasecmp(line, "content-length:", 15)) length = atoi(line + 15);
        if (!strncasecmp(line, "transfer-encoding: chunked", 26)) is_chunked = 1;
    }
    *end = '\r';
    if (is_chunked) {
        char *last = strstr(c->input + head, "0\r\n\r\n");
        if (!last) return 0;
        length = last + 5 - c->input - head;
    }
    if (c->have < head + length) return 0;
    char *body = c->input + head, saved = body[length];
    body[length] = 0;
    int is_post = !strncmp(c->input, "POST", 4);
    c->streams = is_post && (strstr(body, "\"stream\":true") || strstr(body, "\"stream\": true"));
    c->wants_usage = strstr(body, "include_usage") != NULL;
    body[length] = saved;
    c->have -= head + length;
    memmove(c->input, c->input + head + length, c->have);
    if (!c->streams) return write_object(c, is_post ? ANSWER : MODELS) ? -1 : answer(c);
    static const char *start = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    c->sent = 0;
    c->due = now();
    return write_out(c, start, strlen(start)) ? -1 : go_on(c);
}

static void accept_all(int listener) {
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= CONNECTIONS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        Connection *c = connections[fd] = calloc(1, sizeof *c);
        c->fd = fd, c->place = -1;
        struct epoll_event in = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &in);
    }
}

static int on_event(Connection *c, unsigned events) {
    if (events & EPOLLOUT) {
        int taken = send(c->fd, c->output, c->pending, MSG_NOSIGNAL);
        if (taken < 0 && errno != EAGAIN) return -1;
        if (taken > 0) memmove(c->output, c->output + taken, c->pending -= taken);
        struct epoll_event in = {.events = EPOLLIN, .data.fd = c->fd};
        if (!c->pending) epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &in);
    }
    if (!(events & ~EPOLLOUT)) return 0;
    int got = recv(c->fd, c->input + c->have, INPUT - c->have, 0);
    if (got < 0) return errno == EAGAIN ? 0 : -1;
    c->have += got;
    return got ? answer(c) : -1;
}

int main(int count, char **arguments) {
    if (count != 4) return fprintf(stderr, "upstream PORT CHUNKS INTERVAL_MS\n"), 2;
    chunks = atoi(arguments[2]);
    interval = atoi(arguments[3]) * 1000000ULL;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_port = htons(atoi(arguments[1])),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    if (bind(listener, (void *)&here, size) || listen(listener, 4096)) return perror("upstream"), 1;
    getsockname(listener, (void *)&here, &size);
    printf("ready at http://127.0.0.1:%d\n", ntohs(here.sin_port));
    fflush(stdout);
    poller = epoll_create1(0);
    struct epoll_event in = {.events = EPOLLIN, .data.fd = listener}, events[512];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &in);
    for (;;) {
        int wait = -1;
        if (queued) {
            unsigned long long moment = now();
            wait = queue[0]->due <= moment ? 0 : (queue[0]->due - moment) / 1000000 + 1;
        }
        int ready = epoll_wait(poller, events, 512, wait);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener) {
                accept_all(listener);
                continue;
            }
            Connection *c = connections[events[i].data.fd];
            if (c && on_event(c, events[i].events)) leave(c);
        }
        for (unsigned long long moment = now(); queued && queue[0]->due <= moment;) {
            Connection *c = queue[0];
            dequeue(c);
            if (go_on(c)) leave(c);
        }
    }
}
