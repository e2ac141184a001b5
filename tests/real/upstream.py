"""The application behind the gateway: echoes what reached it, and speaks WebSocket, server-sent events and big uploads."""

import asyncio
import hashlib
import threading

from aiohttp import WSMsgType, web

from processes import free_port


class Upstream:
    """A server on its own thread and event loop."""

    def __init__(self):
        self.port = free_port()
        self.pages: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._started.wait(10), "the application did not start"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def push_event(self, text: str) -> None:
        """Sends one event to whoever listens; the stream has no other pace than this."""
        self._loop.call_soon_threadsafe(self._events.put_nowait, text)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._events: asyncio.Queue[str] = asyncio.Queue()
        app = web.Application(client_max_size=0)
        app.router.add_get("/app/ws", self._websocket)
        app.router.add_get("/app/events", self._event_stream)
        app.router.add_post("/app/upload", self._upload)
        app.router.add_get("/app/hop", self._hop_by_hop)
        app.router.add_get("/app/page/{name}", self._page)
        app.router.add_get("/app/status/{status}", self._status)
        app.router.add_get("/app/download/{size}", self._download)
        app.router.add_route("*", "/{path:.*}", self._echo)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", self.port).start())
        self._started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())

    async def _echo(self, request: web.Request) -> web.Response:
        body = await request.read()
        return web.json_response(seen(request) | {"body": body.decode(errors="replace")}, headers={"X-Application": "upstream"})

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=["chat"], max_msg_size=0)
        await socket.prepare(request)
        await socket.send_json(seen(request))
        async for message in socket:
            if message.type == WSMsgType.TEXT and message.data == "bye":
                await socket.close(code=4000, message=b"as asked")
            elif message.type == WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type == WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        return socket

    async def _event_stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        while (text := await self._events.get()) != "end":
            await response.write(f"data: {text}\n\n".encode())
        return response

    async def _upload(self, request: web.Request) -> web.Response:
        digest, size = hashlib.sha256(), 0
        async for chunk in request.content.iter_any():
            digest.update(chunk)
            size += len(chunk)
        return web.json_response(seen(request) | {"sha256": digest.hexdigest(), "size": size})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(int(request.match_info["size"]) >> 20):
            await response.write(bytes(1 << 20))
        return response

    async def _hop_by_hop(self, _request: web.Request) -> web.Response:
        response = web.Response(text="hop", headers={
            "Connection": "keep-alive, X-Only-Here", "X-Only-Here": "1", "Keep-Alive": "timeout=9", "Proxy-Authenticate": "Basic",
            "X-End-To-End": "1",
        })
        response.set_cookie("session", "abc")
        response.set_cookie("theme", "dark")
        return response

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=self.pages[request.match_info["name"]], content_type="text/html")

    async def _status(self, request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["status"]), text="from the application", headers={"X-Application": "upstream"})


def seen(request: web.Request) -> dict:
    """The request as it arrived, header names and order included."""
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.raw_headers]
    return {"method": request.method, "target": request.raw_path, "headers": headers}
