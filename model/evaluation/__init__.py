"""How far a model's replies can be told from real people's, and whether it recites what it was trained on.

`rows` reads prepared data, `features` turns replies into numbers, `detector`, `style` and `memory` are the
figures, `comparison` runs them with intervals, `verdict` sums up, `report` and `page` write it down,
`generation` and `sweep` let a model write. docs/EVALUATION.md says what each figure can and cannot tell.
"""
