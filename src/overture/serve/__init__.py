"""The server: its sockets and processes, its start, its watch over PostgreSQL, its end.

One process serves alone. With more, the parent holds the database and the sockets and answers nothing
itself: each child has a listening socket of its own on the one port (SO_REUSEPORT), between which the
kernel spreads the connections. The parent keeps them all open, so that what arrives for a child that
died waits for its successor.
"""
