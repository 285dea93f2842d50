"""The playground in the browser: two nets fight, on the very code of the library.

`minigan.play.state` is the game without any input or output, `minigan.play.server` the web server
around it, and ``static/`` the page.
"""
