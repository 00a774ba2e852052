#!/usr/bin/env python3
"""PyTorch and Hugging Face transformers on the same work as `preftune bench`.

    python3 -m venv venv && venv/bin/pip install torch transformers
    venv/bin/python peer_bench.py --model gpt2-124m --batch 8 --query 64 --response 24 [--device cuda] [--reps 5]

`--model` is `tiny`, `gpt2-124m`, `smollm2-135m` or a folder in Hugging Face layout, whose configuration is read.
Weights are random, because speed does not depend on them. The script prints one JSON object: medians over `--reps`
runs, after one run that does not count.

generate: `generate` of transformers, sampling at temperature 0.7, fixed length, with a cache.
score:    one forward pass, reading the last position.
train:    forward pass, log-softmax and gather at the response's positions, backward pass, one step of Adam.
update:   generate, 2 scores (the reference's log-probabilities, the reward) and 4 training passes.
"""

import argparse
import json
import resource
import statistics
import time

import torch
import transformers

SHAPES = {
    "tiny": lambda: transformers.GPT2Config(
        n_layer=6, n_embd=256, n_head=8, vocab_size=4096, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0
    ),
    "gpt2-124m": lambda: transformers.GPT2Config(resid_pdrop=0, embd_pdrop=0, attn_pdrop=0),
    "smollm2-135m": lambda: transformers.LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, max_position_embeddings=8192, rope_theta=100000.0, tie_word_embeddings=True,
    ),
}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    for name, default in dict(batch=16, query=64, response=24, microbatch=0, reps=3).items():
        parser.add_argument("--" + name, type=int, default=default)
    return parser.parse_args()


def main():
    options = arguments()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    config = SHAPES[options.model]() if options.model in SHAPES else transformers.AutoConfig.from_pretrained(options.model)
    config.bos_token_id = config.eos_token_id = config.pad_token_id = None
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5, eps=1e-5)
    queries = torch.randint(1, config.vocab_size, (options.batch, options.query), device=device)
    rows = torch.randint(1, config.vocab_size, (options.batch, options.query + options.response), device=device)
    micro_batch = options.microbatch or options.batch

    @torch.no_grad()
    def generate():
        model.generate(
            queries, attention_mask=torch.ones_like(queries), do_sample=True, top_k=0, top_p=1.0, temperature=0.7,
            max_new_tokens=options.response, min_new_tokens=options.response, pad_token_id=0, eos_token_id=None,
        )

    @torch.no_grad()
    def score():
        model.base_model(rows, use_cache=False).last_hidden_state[:, -1].sum().item()

    def train():
        for start in range(0, options.batch, micro_batch):
            some = rows[start : start + micro_batch]
            hidden = model.base_model(some, use_cache=False).last_hidden_state[:, options.query - 1 : -1]
            log_probs = torch.log_softmax(model.get_output_embeddings()(hidden) / 0.7, -1)
            chosen = log_probs.gather(2, some[:, options.query :].unsqueeze(-1))
            (chosen.mean() * (len(some) / options.batch)).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def wait():
        if device.type == "cuda":
            torch.cuda.synchronize()

    def median(work):
        work()
        seconds = []
        for _ in range(options.reps):
            wait()
            started = time.perf_counter()
            work()
            wait()
            seconds.append(time.perf_counter() - started)
        return statistics.median(seconds)

    generated, scored, trained = median(generate), median(score), median(train)
    tokens = options.batch * (options.query + options.response)
    print(json.dumps({
        "impl": f"torch {torch.__version__}, transformers {transformers.__version__}",
        "device": options.device, "model": options.model,
        "batch": options.batch, "query": options.query, "response": options.response,
        "generate_tokens_per_s": round(options.batch * options.response / generated, 1),
        "score_tokens_per_s": round(tokens / scored, 1),
        "train_tokens_per_s": round(tokens / trained, 1),
        "update_s": round(generated + 2 * scored + 4 * trained, 3),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 1_000_000,
    }))


main()
