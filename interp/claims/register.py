"""Every published claim about what models write: who reports what, and what a test of it needs.

`number` is the published estimate in the unit of our own, None where the paper gives none that could be compared or
none that could be verified. What was read only in notes, or is from memory, is said so in `reports` or left out.
"""

from dataclasses import dataclass

import pandas as pd

from interp.claims.verdict import Verdict


@dataclass(frozen=True)
class Reported:
    """One published claim: a short name, where it was published, what is reported, and what a pair must bring."""

    key: str
    claim: str
    source: str
    reports: str
    number: float | None
    needs: str

    def told(self, found: str) -> str:
        """`The paper reports ...; this pair shows ...` as every reason begins."""
        return f"The paper reports {self.reports}; this pair shows {found}."


_PAPERS = (
    Reported(
        "C2",
        "Tuning fixes the form of answers, not whether they can be right",
        "arXiv 2603.23004 (matched through notes; its abstract does not mention tuning)",
        "models that cluster at 55 to 60% of constraints met, whatever their training",
        None,
        "problems with checkable constraints, and base decoding under the grammar of the form",
    ),
    Reported(
        "C5",
        "Tuning costs accuracy on structurally shifted problems",
        "arXiv 2603.23004 (through notes; N-1 there is a power grid with one element removed)",
        "that models tuned by GRPO drop on the variants with one element removed",
        None,
        "each problem a second time with its structure changed, in pairs, answered by both models",
    ),
    Reported(
        "C6",
        "Reinforcement learning collapses what is written onto one format",
        "Zhao et al., arXiv 2504.07912 (COLM 2025)",
        "that one format of pretraining, often the best one, takes over within the first epoch",
        None,
        "formats that can be told apart in base's samples; a checkpoint series for when, a random-reward arm for why",
    ),
    Reported(
        "C7",
        "Tuning makes answers depend less on the written chain",
        "Lobo et al., arXiv 2411.15382; tests of Lanham et al., arXiv 2307.13702",
        "an average decrease of faithfulness over four data sets",
        None,
        "chains that parse into steps, and both models to read them again with steps cut, replaced or corrupted",
    ),
    Reported(
        "C12",
        "Steps written after tuning carry less information on the answer",
        "Wu et al., arXiv 2506.02126",
        "an information gain that is 38.9% lower after supervised tuning",
        -0.389,
        "chains that parse into steps, and both models to read their answers after each step",
    ),
    Reported(
        "C13",
        "Tuning lowers the diversity of form and raises that of meaning",
        "Shypula et al., arXiv 2504.12522",
        "less diversity of form in code and more among the meanings of valid outputs",
        None,
        "problems with many right answers, a verifier and a reading of an answer's meaning, several samples of each",
    ),
    Reported(
        "C14",
        "Different tunings of one base change different core parameters",
        "Wang et al., arXiv 2508.21741",
        "tasks grouped by the overlap of the 1% of parameters that moved most, at a Jaccard index of 0.1",
        None,
        "two or more tunings of one base",
    ),
    Reported(
        "C16",
        "Elicitation without tuning reaches what tuning reaches",
        "a synthesis of several papers, arXiv 2510.07364 and 2601.08058 among them",
        "five independent ways of elicitation, of which two are steering and one trains weights",
        None,
        "base's answers under each elicitor, and its verified pass@k as the ceiling",
    ),
    Reported(
        "C17",
        "Base catches up with tuned when it is sampled often",
        "Yue et al., arXiv 2504.13837 (NeurIPS 2025)",
        "that base catches up and passes at large k, without exception",
        None,
        "many samples of both models per problem, and a parser that verifies the process",
    ),
    Reported(
        "C18",
        "Collapse on long problems is of execution: a tool removes it",
        "Khan et al., arXiv 2506.18957 (demonstrations without statistics)",
        "that the collapse disappears when the model may call a tool",
        None,
        "problems of several sizes with and without a tool token, and one-step accuracy on true prefixes",
    ),
    Reported(
        "C19",
        "Reasoning tuning makes models abstain less where they should",
        "AbstentionBench, arXiv 2506.09038 (recomputed from its released file)",
        "a recall of abstention that is 0.242 lower on average over two pairs, with higher precision",
        -0.242,
        "answerable and unanswerable problems, and a word by which models abstain",
    ),
    Reported(
        "C20",
        "Steering towards concise chains shortens them at no cost",
        "Azizi et al., arXiv 2507.04742",
        "cuts of 34 to 67% of the tokens, 52% on average over six cells",
        None,
        "pairs of concise and verbose chains, and base or tuned decoding with the vector and with a bias on length",
    ),
    Reported(
        "C21",
        "Wrong answers switch thoughts more: underthinking",
        "Wang et al., arXiv 2501.18585",
        "418% more switches of thought in wrong answers, and 225% more tokens",
        4.18,
        "several samples per problem whose thoughts can be told apart, some of them right",
    ),
    Reported(
        "C21b",
        "A penalty on switching thoughts raises accuracy",
        "Wang et al., arXiv 2501.18585",
        "higher accuracy without tuning when the tokens that open a new thought are penalised",
        None,
        "tokens that open a new thought, others as frequent, and practice problems to choose the penalty on",
    ),
    Reported(
        "C22",
        "Beyond an optimum, longer chains answer worse",
        "Wu et al., arXiv 2502.07266; Ghosal et al., arXiv 2506.04210",
        "an optimal number of steps that rises with difficulty and falls with capability",
        None,
        "several samples per problem with different lengths, or lengths that a prompt or a hook sets",
    ),
    Reported(
        "C22c",
        "Forced to think on, a model answers worse",
        "Ghosal et al., arXiv 2506.04210",
        "an accuracy that falls from 87.3 to 70.3% as thinking is forced on (one small model on GSM8K; read in part)",
        -0.17,
        "decoding in which the answer may not begin before a given length, at several lengths",
    ),
    Reported(
        "C23",
        "Reasoning models wander instead of exploring systematically",
        "Lu et al., arXiv 2505.20296",
        "explorations that are invalid, repeated or unnecessary, with success falling as (1 - p)^depth",
        None,
        "search traces over a known graph",
    ),
)
REGISTER = {paper.key: paper for paper in _PAPERS}


def register_table() -> pd.DataFrame:
    """One row per claim: key, claim, source, reports, number, needs."""
    return pd.DataFrame([vars(paper) for paper in _PAPERS]).astype({"number": float})


def lacking(key: str, n: int = 0, *, found: str = "") -> Verdict:
    """The undecided verdict of a claim whose pair lacks what it needs, with what that is."""
    paper = REGISTER[key]
    because = f"{paper.told(found or 'nothing on it')} What it needs: {paper.needs}."
    return Verdict(paper.claim, paper.number, None, None, None, n, "undecided", because)
