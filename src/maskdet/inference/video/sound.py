"""The sound of a video, carried over to the annotated one."""

from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.resampler import AudioResampler
from av.container import OutputContainer
from av.error import FFmpegError

from maskdet.inference.video.decoder import open_options

_COPIED = ("aac", "mp3", "ac3", "eac3", "opus", "alac", "flac")
"""What MP4 holds and browsers play, at least on some systems: copied as it is. All else becomes AAC."""


class Sound:
    """The first sound track of a video, read by itself beside the pictures.

    Args:
        location: The video.
        begin_seconds: The video's clock at the first picture: what sounds earlier is left out.
        output: The new file, before anything is written to it.

    Attributes:
        is_present: Whether there is any; where not, nothing was added to `output`.
    """

    def __init__(self, location: str, begin_seconds: float, output: OutputContainer) -> None:
        self._begin = begin_seconds
        self._container = av.open(location, options=open_options(location), metadata_errors="replace")
        tracks = [track for track in self._container.streams.audio if track.codec_context is not None]
        self.is_present = bool(tracks)
        if not tracks:
            return
        self._track, codec = tracks[0], tracks[0].codec_context.name
        if codec.removesuffix("float") in _COPIED:
            self._output = output.add_stream_from_template(self._track)
            packets = self._copied()
        else:
            self._output = output.add_stream("aac", rate=self._track.rate)
            self._output.layout = "stereo" if self._track.channels > 1 else "mono"
            packets = self._encoded()
        self._packets = _until_broken(packets)
        self._next = next(self._packets, None)

    def until(self, seconds: float) -> Iterator[av.Packet]:
        """Yield the packets that begin before a time of the new video and were not yielded before."""
        while self.is_present and self._next is not None and _seconds(self._next) < seconds:
            yield self._next
            self._next = next(self._packets, None)

    def _copied(self) -> Iterator[av.Packet]:
        for packet in self._container.demux(self._track):
            shift = round(self._begin / packet.time_base) if packet.time_base else 0
            if packet.dts is None or packet.pts is None or packet.pts < shift:
                continue
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = self._output
            yield packet

    def _encoded(self) -> Iterator[av.Packet]:
        context = self._output.codec_context
        resampler = AudioResampler(format="fltp", layout=self._output.layout, rate=context.sample_rate)
        for frame in self._container.decode(self._track):
            if frame.pts is None or frame.time < self._begin:
                continue
            frame.pts -= round(self._begin / frame.time_base)
            for resampled in resampler.resample(frame):
                yield from self._output.encode(resampled)
        for resampled in resampler.resample(None):
            yield from self._output.encode(resampled)
        yield from self._output.encode(None)

    def close(self) -> None:
        """Close the video."""
        self._container.close()


def _until_broken(packets: Iterator[av.Packet]) -> Iterator[av.Packet]:
    """Yield packets until the file breaks off: the pictures say so."""
    try:
        yield from packets
    except FFmpegError:
        return


def _seconds(packet: av.Packet) -> float:
    return float(packet.dts * (packet.time_base or Fraction(1)))
