"""Runs a server of OpenStack Swift: launcher.py <folder with all settings> <kind>."""

import os
import sys


class Memory:
    """What Swift wants of memcached, for a proxy that is one process."""

    def __init__(self):
        self.values = {}

    def get(self, key, raise_on_error=False):
        return self.values.get(key)

    def set(self, key, value, **_):
        self.values[key] = value

    def delete(self, key, **_):
        self.values.pop(key, None)

    def incr(self, key, delta=1, **_):
        self.values[key] = int(self.values.get(key) or 0) + delta
        return self.values[key]

    def get_multi(self, keys, *_, **__):
        return [self.values.get(key) for key in keys]

    def set_multi(self, mapping, *_, **__):
        self.values.update(mapping)


def memory(global_conf, **local_conf):
    """The filter that paste.deploy finds by the name launcher:memory."""
    shared = Memory()

    def wrap(app):
        def call(env, start_response):
            env["swift.cache"] = shared
            return app(env, start_response)

        return call

    return wrap


if __name__ == "__main__":
    folder, kind = sys.argv[1:]
    from swift.common import utils

    # Before anything else is imported: policies are read when they are.
    utils.SWIFT_CONF_FILE = os.path.join(folder, "swift.conf")
    from swift.common.wsgi import run_wsgi

    sys.exit(run_wsgi(os.path.join(folder, kind + ".conf"), kind + "-server"))
