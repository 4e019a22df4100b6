"""The lab: which parts of the solution are exercises, and the student's tree without them.

    source.py   the markers in the source, and a file with its exercises taken out
    pieces.py   the text that a student finds in the place of a solution
    tree.py     which files are handed out, and writing them
    leak.py     proof that no text of a solution is among them
    tree/       files that only the handout has
"""
