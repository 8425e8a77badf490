"""nginx: the reference, plain proxy_pass; also the fake model server for plain answers."""

import subprocess
from pathlib import Path

from benchmarks.contenders.contender import Contender, Launch, Site
from benchmarks.tools import from_debian
from benchmarks.workloads import ANSWER, Request

FRAME = """\
daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  {upstream}
  server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ {location} }} }}
}}
"""
UPSTREAM = "upstream model {{ server 127.0.0.1:{port}; keepalive 256; keepalive_requests 1000000000; }}"
PROXY = 'proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection "";'


def nginx(folder: Path, port: int, location: str, upstream: str = "") -> tuple[str, ...]:
    """Write a configuration and return the command that runs it."""
    (folder / "nginx.conf").write_text(FRAME.format(port=port, location=location, upstream=upstream))
    return str(from_debian("nginx")), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")


def fake_model(folder: Path, port: int) -> tuple[str, ...]:
    """An upstream that costs less than any proxy: it answers at once, from memory."""
    return nginx(folder, port, f"default_type application/json; return 200 '{ANSWER.decode()}';")


class Nginx(Contender):
    name = "nginx"
    title = "nginx proxy_pass"

    def install(self) -> str:
        said = subprocess.run([from_debian("nginx"), "-v"], capture_output=True, text=True, check=True).stderr
        return said.rpartition("/")[2].strip()

    def launch(self, site: Site) -> Launch:
        # A stream that nginx buffers would arrive late; whoever proxies streams turns that off.
        location = PROXY + (" proxy_buffering off;" if site.workload.streamed else "")
        argv = nginx(site.folder, site.port, location, UPSTREAM.format(port=site.upstream))
        return Launch(argv, Request(site.workload.body()))
