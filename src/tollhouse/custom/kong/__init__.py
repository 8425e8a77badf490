"""Files written for Kong's own Python PDK (the package kong-pdk) run here unchanged.

Such a file has `Schema`, `version`, `priority` and a class `Plugin`, whose phases get an object `kong`.
Each phase runs in a thread, because such plugins may block; the event loop never waits for one.

https://developer.konghq.com/custom-plugins/python/ and https://kong.github.io/kong-python-pdk/
"""
