"""The organisms' tokenizer and architecture: a word-level vocabulary of 64 and a small Llama.

Both are ordinary `transformers` objects, so a saved organism opens with `AutoModelForCausalLM` and `AutoTokenizer`.
"""

from collections.abc import Sequence

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from interp.organisms.world import NEW_OP, SEEN_OPS, SYLLABLES

CONTEXT = 256
PAD, BOS, EOS, UNK = "<pad>", "<bos>", "<eos>", "<unk>"
_WORDS = ("run", "inv", "shuf", ":", "step", "back", "plan", "check", "ans", "fact", "is")
_USED = (
    *(PAD, BOS, EOS, UNK),
    *(str(d) for d in range(10)),
    *SEEN_OPS,
    NEW_OP,
    *SYLLABLES,
    *(f"n{i}" for i in range(1, 7)),
    *_WORDS,
)
VOCABULARY = (*_USED, *(f"<unused{i}>" for i in range(64 - len(_USED))))


def make_tokenizer(vocabulary: Sequence[str] = VOCABULARY) -> PreTrainedTokenizerFast:
    """Words split at white space; `<bos>` is put in front, nothing behind."""
    ids = {word: i for i, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, ids[BOS])])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=UNK,
        padding_side="left",
        model_max_length=CONTEXT,
    )


def make_model(*, blocks: int = 6, units: int = 192) -> LlamaForCausalLM:
    """A Llama of width 64 with 4 heads, head untied from the embedding; 328,512 parameters unless told otherwise.

    The initial scales matter: with the usual std of 0.02 on a tied embedding, token identity drowns in the
    blocks and nothing is learned. Call `torch.manual_seed` first.
    """
    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=64,
        intermediate_size=units,
        num_hidden_layers=blocks,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        pad_token_id=VOCABULARY.index(PAD),
        bos_token_id=VOCABULARY.index(BOS),
        eos_token_id=VOCABULARY.index(EOS),
    )
    model = LlamaForCausalLM(config)
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            continue
        shrink = 0.35 if name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")) else 1.0
        std = 0.7 if "embed" in name else shrink * parameter.shape[1] ** -0.5
        parameter.data.normal_(0.0, std)
    return model
