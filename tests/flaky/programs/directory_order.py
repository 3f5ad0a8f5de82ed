#!/usr/bin/env python3
"""Puts a file together from its parts in the order in which the directory lists them. The names of most
are made up; all is well as long as the summary is not the first of them."""
import os
import tempfile

with tempfile.TemporaryDirectory() as folder:
    made_up = [os.urandom(4).hex() for _ in range(8)]
    for name in made_up[:4] + ["summary"] + made_up[4:]:
        with open(os.path.join(folder, name), "w", encoding="ascii") as part:
            part.write(name)
    names = os.listdir(folder)
    assert names[0] != "summary", names
    print("put together")
