"""An RTSP server on loopback that plays one video once: MPEG-TS in RTP packets, interleaved with RTSP over TCP."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

PAYLOAD = 33  # MPEG-TS (RFC 3551)
PACKET = 7 * 188  # bytes of MPEG-TS in an RTP packet
SDP = f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP {PAYLOAD}\r\na=control:track\r\n"
ANSWERS = {
    "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n",
    "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n\r\n{SDP}",
    "SETUP": "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n",
    "PLAY": "Session: 1\r\n\r\n",
}


@contextmanager
def serve(video: Path, seconds: float) -> Iterator[str]:
    """The address of a live stream of `video`, which takes that many seconds; `rtsp://user:secret@127.0.0.1:...`."""
    stream = as_mpegts(video)
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=play, args=(server, stream, seconds), daemon=True)
        thread.start()
        yield f"rtsp://user:secret@127.0.0.1:{server.getsockname()[1]}/gate"
    thread.join(10)


def as_mpegts(video: Path) -> bytes:
    """The same packets in another container."""
    file = video.with_suffix(".ts")
    with av.open(str(video)) as source, av.open(str(file), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return file.read_bytes()


def play(server: socket.socket, stream: bytes, seconds: float) -> None:
    """Answer one client, and send it the stream when it asks to play."""
    client, _ = server.accept()
    with client, client.makefile("rwb") as lines:
        while (request := lines.readline().decode()) and not request.startswith("TEARDOWN"):
            header = [line.decode() for line in iter(lines.readline, b"\r\n")]
            (sequence,) = [line for line in header if line.startswith("CSeq")]
            method = request.split()[0]
            lines.write(f"RTSP/1.0 200 OK\r\n{sequence}{ANSWERS[method]}".encode())
            lines.flush()
            if method == "PLAY":
                send(client, stream, seconds)
                return


def send(client: socket.socket, stream: bytes, seconds: float) -> None:
    """The stream's bytes as RTP packets on channel 0, evenly over the seconds."""
    starts = range(0, len(stream), PACKET)
    for number, start in enumerate(starts):
        moment = round(90_000 * seconds * number / len(starts))
        rtp = struct.pack(">BBHII", 0x80, PAYLOAD, number, moment, 1) + stream[start : start + PACKET]
        client.sendall(struct.pack(">cBH", b"$", 0, len(rtp)) + rtp)
        time.sleep(seconds / len(starts))
