# SPDX-License-Identifier: MIT
"""The real nginx with the site of docs/chatops/nginx.conf, on the fleet's own addresses."""
import os
import subprocess

from daemons import can_connect, spawn, wait_for

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "chatops")
NAME = "release.example.org"
AROUND = """daemon off;
{user}
pid {dir}/nginx.pid;
error_log {dir}/error.log;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    access_log {dir}/access.log;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    include {dir}/site.conf;
}}
"""


class Nginx:
    """The site as it is documented; only addresses and places of files are put in. Person ann, password pw."""

    def __init__(self, fleet, behind):
        self.fleet, self.behind = fleet, behind
        self.dir = f"{fleet.dir}/nginx"
        self.host, self.http, self.https = f"{fleet.net}.6", fleet.base + 72, fleet.base + 73

    def __enter__(self):
        os.makedirs(self.dir, mode=0o700)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-days", "2",
                        "-keyout", f"{self.dir}/tls.key", "-out", f"{self.dir}/tls.crt"], check=True, capture_output=True)
        hashed = subprocess.run(["openssl", "passwd", "-apr1", "pw"], check=True, capture_output=True, text=True).stdout
        self.write("htpasswd", f"ann:{hashed}")
        self.write("site.conf", self.site())
        self.write("nginx.conf", AROUND.format(
            dir=self.dir, user="user root;" if os.getuid() == 0 else ""))  # as another it could not enter our directory
        spawn(self.fleet.dir, "nginx", ["nginx", "-p", self.dir, "-e", f"{self.dir}/error.log", "-c", f"{self.dir}/nginx.conf"])
        wait_for("nginx answers", lambda: can_connect(self.host, self.https))
        return self

    def __exit__(self, *_):
        """It ends with the fleet."""

    def write(self, name, text):
        with open(f"{self.dir}/{name}", "w") as f:
            f.write(text)

    def site(self):
        with open(f"{DOCS}/nginx.conf") as f:
            text = f.read()
        for old, new in (("listen 80;", f"listen {self.host}:{self.http};"),
                         ("listen 443 ssl http2;", f"listen {self.host}:{self.https} ssl http2;"),
                         ("server 127.0.0.1:8710;", f"server {self.behind};"),
                         ("/etc/release/tls.crt", f"{self.dir}/tls.crt"), ("/etc/release/tls.key", f"{self.dir}/tls.key"),
                         ("/etc/nginx/release.htpasswd", f"{self.dir}/htpasswd")):
            assert text.count(old) == 1, f"'{old}' is not once in nginx.conf"
            text = text.replace(old, new)
        return text

    def curl_argv(self, path, *args):
        return ["curl", "-sS", "--cacert", f"{self.dir}/tls.crt", "--connect-to", f"{NAME}:443:{self.host}:{self.https}",
                "--connect-to", f"{NAME}:80:{self.host}:{self.http}", *args,
                path if path.startswith("http") else f"https://{NAME}{path}"]

    def curl(self, path, *args):
        """Status and text of the answer."""
        result = subprocess.run(self.curl_argv(path, "-w", "\n%{http_code}", *args), capture_output=True, text=True, timeout=30)
        assert result.returncode == 0, result.stderr
        text, _, status = result.stdout.rpartition("\n")
        return int(status), text
