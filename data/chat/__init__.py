"""The rules that training, the live bot and evaluation share: pure functions and values, one of each.

Standard library and storage's records only, so that every room may import them: what is kept, what one turn is, which
part of a talk a reply sees, what recall is asked, how a line reads, how a training row is written, who is alive.
"""
