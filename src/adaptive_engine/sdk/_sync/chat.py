# Generated from _async/chat.py by scripts/unasync.py. Edit that file, then run the script.
"""POST /api/v1/chat/completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeVar, Unpack, overload
from uuid import UUID, uuid4

from pydantic import TypeAdapter

from adaptive_engine.sdk._sync.stream import ChatStream
from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.parsing import ParsedChatResponse, parsed_response
from adaptive_engine.sdk.payloads import (
    ChatOptions,
    MessageInput,
    ParseOptions,
    decode,
    encode,
    messages_body,
    model_name,
    optional_text,
    unexpected_answer,
    uuid_text,
)
from adaptive_engine.sdk.schemas import ResponseFormatInput, response_format_body, type_adapter
from adaptive_engine.sdk.settings import NOT_GIVEN, Timeout, choose_project
from adaptive_engine.wire.chat import ChatResponse

if TYPE_CHECKING:
    from adaptive_engine.sdk._sync.client import Adaptive

T = TypeVar("T")


class Chat:
    """Chat completions.

    ```python
    answer = client.chat.create([{"role": "user", "content": "Hello!"}], project="support")
    print(answer.choices[0].message.content)
    ```
    """

    def __init__(self, client: Adaptive) -> None:
        self._client = client

    @overload
    def create(
        self, messages: Sequence[MessageInput], *, stream: Literal[False] = False, **options: Unpack[ChatOptions]
    ) -> ChatResponse: ...

    @overload
    def create(
        self, messages: Sequence[MessageInput], *, stream: Literal[True], **options: Unpack[ChatOptions]
    ) -> ChatStream: ...

    @overload
    def create(
        self, messages: Sequence[MessageInput], *, stream: bool, **options: Unpack[ChatOptions]
    ) -> ChatResponse | ChatStream: ...

    def create(
        self,
        messages: Sequence[MessageInput],
        *,
        model: str | None = None,
        project: str | None = None,
        use_case: str | None = None,
        stream: bool = False,
        stream_include_usage: bool | None = None,
        stop: str | Sequence[str] | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        n: int | None = None,
        logprobs: bool | None = None,
        top_logprobs: int | None = None,
        session_id: str | UUID | None = None,
        user: str | UUID | None = None,
        labels: Mapping[str, str] | None = None,
        store: bool | None = None,
        response_format: ResponseFormatInput | None = None,
        strict: bool | None = None,
        complete: bool | None = None,
        ab_campaign: str | None = None,
        max_ttft_ms: int | None = None,
        system_prompt_args: Mapping[str, object] | None = None,
        ignore_eos: bool | None = None,
        extra_body: Mapping[str, object] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        timeout_secs: Timeout = NOT_GIVEN,
    ) -> ChatResponse | ChatStream:
        """Generate an answer to `messages`; None leaves a choice to the server.

        `model` is a model's key; without it the project's default model answers. `project` overrides
        the client's default (`use_case` is its older name). `stream=True` returns an ChatStream of chunks;
        `stream_include_usage` asks for a last chunk with token counts. `stop` ends the answer before any of these
        texts, `max_tokens` (at least 1) cuts it, `ignore_eos` goes on until then. `temperature` 0 to 2, `top_p` above 0
        to 1 and `seed` steer sampling; `n` is how many answers are wanted. `logprobs` asks how likely each token was,
        `top_logprobs` (0 to 20) for the likeliest in its place. `session_id`, a UUID, groups the turns of a
        conversation; a cached prompt is shared with any request of the project that begins alike. `labels` are stored
        with the interaction, `store=False` stores nothing.

        A message's `content` is text, or a list of text parts and images: `adaptive_engine.image("photo.jpg")` makes
        one. Only models with the tag Multimodal take them.

        `response_format` makes the answer JSON of that shape: a Pydantic class, another type that Pydantic knows
        (`list[Item]`, a dataclass; unions as `TypeAdapter(Item | None)`), or the wire's dict. The answer's `content` is
        text that always parses, except where `finish_reason` is "length": it may then stop in the middle.
        `complete=True` has the server close the JSON before `max_tokens` runs out. What cannot be enforced is named in
        the answer's `warnings`; with `strict=True` it is a BadRequestError. `parse` also makes the object.

        `max_ttft_ms` limits the time to the first token, the wait in the queue included: what cannot come in time is
        given up and raises FirstTokenTimeoutError, without another try.

        `system_prompt_args` fills the placeholders of the model's system prompt, where its settings have one.

        `ab_campaign`, id or key of an A/B test, makes the request enter it, whatever its traffic split.

        `extra_body` adds or replaces fields of the request, `extra_headers` its headers. `timeout_secs` overrides the
        client's (None: no limit).

        Raises ValueError for wrong arguments before anything is sent, else an APIError.
        """
        chosen = choose_project(project, use_case, self._client.default_project)
        options = None if stream_include_usage is None else {"include_usage": stream_include_usage}
        fields = {
            "model": model_name(chosen, model),
            "messages": messages_body(messages),
            "stream": stream,
            "stream_options": options,
            "stop": stop,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "seed": seed,
            "n": n,
            "logprobs": logprobs,
            "top_logprobs": top_logprobs,
            "session_id": uuid_text("session_id", session_id),
            "user": optional_text(user),
            "labels": labels,
            "store": store,
            "response_format": response_format_body(response_format, strict=strict, complete=complete),
            "ab_campaign": ab_campaign,
            "max_ttft_ms": max_ttft_ms,
            "system_prompt_args": system_prompt_args,
            "ignore_eos": ignore_eos,
        }
        call = Call(
            "POST",
            "/chat/completions",
            content=encode({**fields, **(extra_body or {})}),
            # So that a second try has the answer of the first, if that was made after all.
            headers={"Idempotency-Key": str(uuid4()), **(extra_headers or {})},
            timeout_secs=timeout_secs,
            stream=stream,
        )
        return self._stream(call) if stream else decode(ChatResponse, self._client._send(call))

    def parse(
        self,
        messages: Sequence[MessageInput],
        *,
        response_format: type[T] | TypeAdapter[T],
        **options: Unpack[ParseOptions],
    ) -> ParsedChatResponse[T]:
        """Generate an answer as an instance of `response_format`, which is in each choice's `message.parsed`.

            answer = client.chat.parse(messages, response_format=Invoice)
            print(answer.choices[0].message.parsed.total)

        Takes the arguments of `create`, but no streams and no dict as `response_format`. `parsed` is None only for an
        answer without any text.

        Raises LengthFinishReasonError when `max_tokens` cut an answer off (`complete=True` avoids that), and
        ResponseParseError when one is not valid for the class: a schema cannot say all that a class checks. Both carry
        the whole response; of `n` answers, one that fails is enough. Else it raises what `create` raises.
        """
        # What nothing can be parsed as is refused before anything is sent.
        type_adapter(response_format)
        # Here and not in `create`, so that a warning about `use_case` points to the caller.
        options["project"] = choose_project(
            options.get("project"), options.pop("use_case", None), self._client.default_project
        )
        response = self.create(messages, stream=False, response_format=response_format, **options)
        return parsed_response(response, response_format)

    def _stream(self, call: Call) -> ChatStream:
        response = self._client._send(call)
        if response.headers.get("content-type", "").partition(";")[0].strip().lower() != "text/event-stream":
            response.read()
            raise unexpected_answer(response, "an event stream")
        return ChatStream(response)
