"""One transaction that everything of a test takes part in, rolled back at its end.

`portal` runs the loop that the one connection belongs to; `transaction` is what happens on that
connection, with `turns` to keep the order, `units` to keep the books and `backends` to speak to
each kind of server; `members` is what SQLAlchemy takes for connections, with `cursors` and
`drivers`; `engines` makes engines of them.
"""
