"""Every mutant of policy, approvals and budgets, and which of them the tests let live.

`./run bench mutants` plays all of them, most of two hours; `python -m bench.mutants.playing` plays an
area or a module. Changes are made to the syntax tree (operators.py), also within SQL (sql.py), and
put into a process that has imported everything already (planting.py), of which a child is forked for
each mutant (playing.py).

Why no tool that exists: mutmut 3 changes what stands in functions only and starts a test session for
each mutant, and cosmic-ray a process. With us each session migrates a database of its own, so that
three thousand mutants would take a day instead of an hour. Neither looks into SQL, where half of what
counts stands here: `state = 'approved'`, `now() < expires_at`.
"""
