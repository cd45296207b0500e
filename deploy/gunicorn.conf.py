"""The web server: gunicorn drsorch_site.wsgi --config deploy/gunicorn.conf.py"""

bind = "0.0.0.0:8000"  # a container's own address; on a plain host the unit says 127.0.0.1
worker_class = "gthread"  # threads wait for AWS and the database cheaply (docs/adr/0002-tools.md)
workers = 2
threads = 8
worker_tmp_dir = "/dev/shm"  # noqa: S108 # heartbeats in memory: a slow disk must not look like a hung worker
keepalive = 75  # longer than the 60 s of a load balancer, or it reuses a connection that we are just closing
timeout = 60
graceful_timeout = 30
control_socket_disable = True  # nobody steers it at run time, and the file system is read-only
# What is longer gets a page of gunicorn's own and not the API's JSON: a token, a cookie, an address with its query.
limit_request_field_size = 16384
limit_request_line = 8190
# The path without its query, which may carry a code of the sign-in.
accesslog = "-"
access_log_format = '%(h)s %(t)s "%(m)s %(U)s" %(s)s %(b)s %(L)s'
