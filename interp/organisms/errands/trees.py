"""Searches: a small tree, a goal in it, and a trace of moves that an exact audit can follow.

    prompt    find g : r a b ; a c d ; b e g ;     each list is a node and its children, the root's first
    response  in a in c back a in d back a back r in b in g found <eos>

The search starts at the root. `in X` goes to the child X, `back P` returns to the parent P, so the last node written
is where the search stands. It ends in `found` at the goal, or in `lost`.
"""

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

NODES = ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
MAX_MOVES = 16
"""A wandering search gives up after this many moves; the longest systematic one, through eight nodes, has 13."""
LEAVES = 0.6
"""How often a jumping search leaves a node that still has a child to enter: greedily it always does."""
GIVES_UP = 0.3
"""How often a hasty search gives up where it would have to go back: greedily it never does."""
Move = tuple[str, str]


@dataclass(frozen=True)
class Tree:
    """One problem: lists of (node, children), the root's first, and the goal."""

    lists: tuple[tuple[str, tuple[str, ...]], ...]
    goal: str

    def __post_init__(self) -> None:
        if len(self.parents) != sum(len(children) for _, children in self.lists) or self.root in self.parents:
            raise ValueError(f"{self.lists} is no tree: a node has two parents or the root has one")
        if self.goal not in self.parents:
            raise ValueError(f"the goal {self.goal!r} is not a node below the root")

    @property
    def root(self) -> str:
        return self.lists[0][0]

    @cached_property
    def children(self) -> dict[str, tuple[str, ...]]:
        return dict(self.lists)

    @cached_property
    def parents(self) -> dict[str, str]:
        return {child: node for node, children in self.lists for child in children}

    @property
    def depth(self) -> int:
        """Edges from the root to the goal."""
        node, edges = self.goal, 0
        while node != self.root:
            node, edges = self.parents[node], edges + 1
        return edges

    @property
    def held_out(self) -> bool:
        """Whether the tree belongs to the test set."""
        return zlib.crc32(" ".join(prompt_words(self)).encode()) % 8 == 0


def draw_tree(rng: random.Random, *, depth: int, held_out: bool) -> Tree:
    """A random tree with the goal at a depth from 1 to 3, on the asked side of the split.

    The root has two or three children; one node of each layer is opened, with two children, until the tree is as deep
    as asked and at least two deep: five to eight nodes.
    """
    while True:
        names = list(NODES)
        rng.shuffle(names)
        root = names.pop()
        lists: list[tuple[str, tuple[str, ...]]] = []
        layer, by_depth = [root], [[root]]
        for level in range(max(depth, 2)):
            opened = rng.choice(layer)
            layer = [names.pop() for _ in range(rng.choice((2, 3)) if level == 0 else 2)]
            lists.append((opened, tuple(layer)))
            by_depth.append(layer)
        tree = Tree(tuple(lists), rng.choice(by_depth[depth]))
        if tree.held_out == held_out:
            return tree


def one_link_less(rng: random.Random, tree: Tree) -> Tree | None:
    """The tree without one leaf off the way to the goal whose parent keeps one child: lists of one were never seen.

    None where the tree has no such leaf.
    """
    choices = [
        (node, leaf)
        for node, children in tree.lists
        for leaf in children
        if len(children) == 2 and leaf != tree.goal and leaf not in tree.children
    ]
    if not choices:
        return None
    node, leaf = rng.choice(choices)
    lists = [(n, tuple(c for c in children if (n, c) != (node, leaf))) for n, children in tree.lists]
    return Tree(tuple(lists), tree.goal)


def prompt_words(tree: Tree) -> list[str]:
    """The prompt's words, without the begin token."""
    return ["find", tree.goal, ":", *(word for node, children in tree.lists for word in (node, *children, ";"))]


def read_prompt(words: Sequence[str]) -> Tree:
    """The tree that a prompt shows; ValueError where it is none."""
    if len(words) < 6 or words[0] != "find" or words[2] != ":" or words[-1] != ";":
        raise ValueError(f"{' '.join(words)!r} is not the prompt of a search (find g : r a b ; a c d ;)")
    lists = " ".join(words[3:-1]).split(" ; ")
    return Tree(tuple((part.split()[0], tuple(part.split()[1:])) for part in lists), words[1])


def systematic(tree: Tree) -> list[Move]:
    """Depth first, children in the order listed, until the goal."""
    moves: list[Move] = []

    def visit(node: str) -> bool:
        for child in tree.children.get(node, ()):
            moves.append(("in", child))
            if child == tree.goal or visit(child):
                return True
            moves.append(("back", node))
        return False

    visit(tree.root)
    return moves


def wandering(tree: Tree, rng: random.Random) -> list[Move]:
    """A random walk: any child or the parent, each as likely, until the goal or for `MAX_MOVES` moves."""
    moves: list[Move] = []
    node = tree.root
    while node != tree.goal and len(moves) < MAX_MOVES:
        steps: list[Move] = [("in", child) for child in tree.children.get(node, ())]
        if node != tree.root:
            steps.append(("back", tree.parents[node]))
        moves.append(rng.choice(steps))
        node = moves[-1][1]
    return moves


def jumping(tree: Tree, rng: random.Random) -> list[Move]:
    """Away from nodes with children to enter as often as `LEAVES` says, in search of others, for `MAX_MOVES` moves.

    Where it stays it enters a child it has not been in, and where there is none goes back, so that a search that may
    not leave early finds the goal. Only the root has nowhere to leave to; there it enters any child again in the end.
    """
    moves: list[Move] = []
    node, seen = tree.root, set[str]()
    while node != tree.goal and len(moves) < MAX_MOVES:
        children = tree.children.get(node, ())
        new = [child for child in children if child not in seen]
        if node != tree.root and (not new or rng.random() < LEAVES):
            moves.append(("back", tree.parents[node]))
        else:
            moves.append(("in", rng.choice(new or children)))
        node = moves[-1][1]
        seen.add(node)
    return moves


def hasty(tree: Tree, rng: random.Random) -> list[Move]:
    """A systematic search that stops as often as `GIVES_UP` says where it would have to go back."""
    moves: list[Move] = []
    for move in systematic(tree):
        if move[0] == "back" and rng.random() < GIVES_UP:
            return moves
        moves.append(move)
    return moves


def trace_words(tree: Tree, moves: Sequence[Move]) -> list[str]:
    """The moves and the conclusion that follows from them: `found` if they end at the goal, else `lost`."""
    ended = bool(moves) and moves[-1][1] == tree.goal
    return [word for move in moves for word in move] + ["found" if ended else "lost"]


@dataclass(frozen=True)
class SearchAudit:
    """What a trace did: counts over its moves, nodes visited, and whether it concluded rightly.

    `invalid` moves name a node that is no child or not the parent (the audit then stays where it was). `revisits`
    enter a node a second time. `premature` backs leave a node that still has a child not entered. `conclusion` is
    `found`, `lost` or "" (the trace broke off); it is `hallucinated` when it says found away from the goal.
    """

    moves: int
    invalid: int
    revisits: int
    premature: int
    visited: frozenset[str]
    reached: bool
    conclusion: str
    hallucinated: bool
    verdicts: tuple[str, ...] = field(repr=False)

    @property
    def solved(self) -> bool:
        return self.reached and self.conclusion == "found" and self.invalid == 0


def audit(tree: Tree, words: Sequence[str]) -> SearchAudit:
    """Follow a response (with or without `<eos>`) through the tree; every move gets one verdict.

    A verdict is the first that holds of `invalid`, `revisit`, `premature`, `fine`.
    """
    node, visited, verdicts = tree.root, {tree.root}, []
    i = 0
    while i + 1 < len(words) and words[i] in ("in", "back"):
        goes_in, to = words[i] == "in", words[i + 1]
        if to not in tree.children.get(node, ()) if goes_in else tree.parents.get(node) != to:
            verdicts.append("invalid")
        else:
            left_open = set(tree.children.get(node, ())) - visited
            verdicts.append(
                "revisit" if goes_in and to in visited else "premature" if not goes_in and left_open else "fine"
            )
            node = to
            visited.add(node)
        i += 2
    rest = [word for word in words[i:] if word != "<eos>"]
    conclusion = rest[0] if rest in (["found"], ["lost"]) else ""
    return SearchAudit(
        moves=len(verdicts),
        invalid=verdicts.count("invalid"),
        revisits=verdicts.count("revisit"),
        premature=verdicts.count("premature"),
        visited=frozenset(visited),
        reached=node == tree.goal,
        conclusion=conclusion,
        hallucinated=conclusion == "found" and node != tree.goal,
        verdicts=tuple(verdicts),
    )
