"""Static files in front of Django, answered without a middleware and its thread."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import IO, Any
from wsgiref.headers import Headers

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.staticfiles import finders
from whitenoise import WhiteNoise
from whitenoise.responders import Redirect, StaticFile

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BUNDLES = "dist/assets/"
"""Where names carry a hash of the content, so that browsers may keep them for ever."""
MAX_AGE_SECONDS = 60
CHUNK_BYTES = 64 * 1024


class StaticFiles:
    """Answers paths below `STATIC_URL` from the files of the finders, and passes on the rest."""

    def __init__(self, application: Application) -> None:
        """Stand in front of an ASGI application."""
        self._application = application
        self._prefix = f"/{settings.STATIC_URL.strip('/')}/"
        self._files = WhiteNoise(
            None,
            max_age=0 if settings.DEBUG else MAX_AGE_SECONDS,
            allow_all_origins=False,
            add_headers_function=_add_headers,
            immutable_file_test=lambda _, url: url.startswith(self._prefix + BUNDLES),
        )
        if not settings.DEBUG:
            for url, path in self._found():
                self._files.add_file_to_dictionary(url, path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it over."""
        if scope["type"] == "http" and scope["path"].startswith(self._prefix):
            file = await sync_to_async(self._file, thread_sensitive=False)(scope["path"])
            if file is not None:
                await _answer(file, scope, send)
                return
        await self._application(scope, receive, send)

    def _file(self, url: str) -> StaticFile | Redirect | None:
        if not settings.DEBUG:
            return self._files.files.get(url)
        # While developing, files come and go: look again each time.
        path = finders.find(url.removeprefix(self._prefix))
        return self._files.get_static_file(path, url) if path else None

    def _found(self) -> Iterator[tuple[str, str]]:
        for finder in finders.get_finders():
            for path, storage in finder.list([]):
                parts = [getattr(storage, "prefix", None), path]
                url = self._prefix + "/".join(part for part in parts if part).replace("\\", "/")
                yield url, storage.path(path)


def _add_headers(headers: Headers, _path: str, _url: str) -> None:
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"


async def _answer(file: StaticFile | Redirect, scope: Scope, send: Send) -> None:
    request_headers = {
        "HTTP_" + name.decode("latin-1").upper().replace("-", "_"): value.decode("latin-1")
        for name, value in scope["headers"]
    }
    response = await sync_to_async(file.get_response, thread_sensitive=False)(
        scope["method"], request_headers
    )
    await send(
        {
            "type": "http.response.start",
            "status": int(response.status),
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in response.headers
            ],
            "trailers": False,
        }
    )
    await _send_body(response.file, send)


async def _send_body(file: IO[bytes] | Any | None, send: Send) -> None:
    if file is not None:
        try:
            while chunk := await sync_to_async(file.read, thread_sensitive=False)(CHUNK_BYTES):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        finally:
            file.close()
    await send({"type": "http.response.body", "body": b"", "more_body": False})
