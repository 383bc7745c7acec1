"""The public API's types, shared by the server and the SDK. Needs pydantic and nothing else of ours."""
