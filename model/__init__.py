"""The language model: prompts, inference, training, evaluation, deployment."""
