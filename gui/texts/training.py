"""Training and models."""

from __future__ import annotations

RETRAIN = "Retrain"
RETRAIN_TITLE = "A new model from everything said so far"
RETRAIN_STEPS = ("Fetch", "Prepare", "Train", "Evaluate", "You decide")
RETRAIN_TEXT = (
    "Fetches new messages, prepares them, trains and evaluates. At the end you see how close it comes and "
    "decide whether the bot uses it. It may take hours; you can close this window in the meantime."
)
RETRAIN_RUNNING = "It is at work; the bot goes on as before."
RETRAIN_NEW = "{count} since the last training."
RETRAIN_NEVER = "Never trained yet; {count} to learn from."
RETRAIN_NONE = "No messages yet. Fetch or import some first."
RETRAIN_DUE = "Time to retrain?"
RETRAIN_DUE_TEXT = "{count} since the last training. See Training."
RETRAIN_ASK_TITLE, RETRAIN_ASK_GO = "Start retraining?", "Start"
DATASET = "Data set"
DATASET_NONE = "Not prepared yet."
DATASET_FACTS = {
    "train": "Training examples",
    "validation": "For checking",
    "test": "Kept for the evaluation",
    "preferences": "Preference pairs",
    "taught": "Taught by you all",
    "authors": "People",
}
DATASET_MADE = "prepared {when}"
PREPARE, OPEN_REPORT = "Prepare", "Open report"
COMPUTER = "This computer"
COMPUTER_NONE = "Not looked at yet."
COMPUTER_CHECK = "Check this computer"
COMPUTER_GPU, COMPUTER_CPU = "Graphics card", "Processor"
COMPUTER_NO_GPU = "none for training"
COMPUTER_RECIPE, COMPUTER_TIME, COMPUTER_NEEDS = "Recipe", "Estimated time", "Needs"
COMPUTER_OF = "{used} of {free} free"
COMPUTER_CORES = "{count} cores"
COLAB = "Train on Colab"
COLAB_TEXT = (
    "Google Colab lends a graphics card for free: the notebook takes the prepared folder and gives back a model file, "
    "which you take back below."
)
COLAB_PRIVATE = (
    "The two ZIP files hold the program and what people said. Uploading them hands that to Google: "
    "ask your server first."
)
COLAB_OPEN, COLAB_PACK, COLAB_BACK = "Open the notebook", "Save the two files", "Take back from Colab"
COLAB_PACKED = "project.zip and prepared.zip are in {folder}."
COLAB_TAKEN = "{name} is in the list. Evaluate it before you use it."
COLAB_LONG = "Training a real model here would take very long."
COLAB_PRACTICE = "On this computer alone only a small practice model can be made."
COMPUTER_PRACTICE = "a practice model (very small)"
RUN = "Training run"
RUN_NONE = "The loss curve appears here while it trains. Falling is good."
RUN_CANCELLED = "Cancelled. Resume goes on from the last checkpoint."
RUN_START, RUN_RESUME, RUN_CANCEL = "Start training", "Resume", "Cancel"
RUN_STEP = "{phase} step {step}"
EVALUATION = "Evaluation"
EVALUATION_NONE = "Not evaluated yet. An evaluation shows how well people can tell the bot from the real ones."
EVALUATION_START = "Evaluate"
EVALUATION_MATCH, EVALUATION_AUC = "Personality match", "Detector AUC"
EVALUATION_PEOPLE = "Baseline: people vs. people"
EVALUATION_AUC_NOTE = "0.50 cannot be told apart, 1.00 always"
EVALUATION_OBJECTION = "Repeats training text word for word"
MODELS = "Models"
MODELS_NONE = "No trained model yet. Until then the bot talks from your channels' own words; training makes it yours."
MODEL_IN_USE, MODEL_BEFORE, MODEL_UNUSED = "in use", "previous", "not used yet"
MODEL_TRAINED, MODEL_ADDED = "trained {when}", "added {when}"
MODEL_MATCHES, MODEL_UNMEASURED, MODEL_PRACTICE = "match {match}", "not evaluated", "practice only"
MODEL_DETECTOR = "detector {auc} (0.5: cannot tell)"
MODEL_FRIENDS = "Friends found out {found} of its replies, which is {sure} ({answers}). {reading}"
MODEL_FRIENDS_FEW = "Friends' verdict: {answers} so far, it needs {least}."
MODEL_FRIENDS_EVEN = "They cannot tell it from you."
MODEL_FRIENDS_ABOVE = "They can often tell it from you."
MODEL_FRIENDS_MIXED = "They tell it from you now and then."
MODEL_USE_SHORT, MODEL_DELETE, MODEL_DELETE_GO = "Use", "Delete", "Delete"
MODEL_DELETE_TITLE = "Delete {name}?"
MODEL_DELETE_TEXT = (
    "The model's files are deleted for good, with what its training left. The messages and the data set it was made "
    "from stay, so it can be trained again."
)
NEW_MODEL_TITLE = "A new model is waiting: {name}"
NEW_MODEL_MADE = "Trained {when}."
NEW_MODEL_MATCH, NEW_MODEL_MATCH_BEFORE = "It matches the server's voice to {match}.", "The model in use: {match}."
NEW_MODEL_UNMEASURED = "It has not been evaluated yet (Training > Evaluate)."
NEW_MODEL_PRACTICE = "It was made for practice, from a very small model: it shows that training works, no more."
NEW_MODEL_SAFE = "You can always roll back, and it stays under Training > Models whatever you choose."
NEW_MODEL_BEFORE, NEW_MODEL_PEOPLE, NEW_MODEL_NOW = "The model in use", "What a member wrote", "The new model"
NEW_MODEL_TRY, NEW_MODEL_KEEP = "Compare", "Keep the one in use"
PRACTICE_TITLE = "Use a practice model?"
PRACTICE_TEXT = (
    "{name} was made from a very small model to show that training works here. The bot would answer far worse than "
    "with a real one. You can roll back."
)
MODEL_ADD, MODEL_ROLLBACK = "Add model file…", "Roll back"
MODEL_BEFORE_FIRST = "the original model"
MODEL_ROLLBACK_TITLE = "Roll back to {name}?"
MODEL_ROLLBACK_TEXT = "The bot reloads and answers with that model. Rolling back again returns to this one."
DEPLOY_TITLE = "A new model is ready"
DEPLOY_TEXT = (
    "{name} is trained and evaluated.{match} Home shows it beside the model in use. It waits there until you decide."
)
DEPLOY_MATCH = " Personality match: {match}."
DEPLOY_GO, DEPLOY_LATER, DEPLOY_LOOK = "Use it", "Not now", "Look at it"
FORCE_UNNAMED = "The checks object to it."
FORCE_TITLE, FORCE_GO, FORCE_NO = "Use it all the same?", "Use it anyway", "Keep the one in use"
BLIND_BUTTON = "Blind test"

# ---- the round ----------------------------------------------------------------------------------
PIPELINE_TITLE = "Teaching it your server"
PIPELINE_SETUP = "Getting ready: installing what training needs"
PIPELINE_STARTED = "Started {at} · you can close this window · the bot goes on talking with the old model"
PIPELINE_DONE_AT = "done at about {at} ({left} left)"
PIPELINE_SKIPPED, PIPELINE_NEW, PIPELINE_MATCH = "not needed", "{count} new", "{match} like you"
PLAN_REAL = "Makes a new model from {base} and everything said in the channels it learns from."
PLAN_PRACTICE = (
    "This computer alone can only make a practice model from {base}: it shows that training works, and answers far "
    "worse than a real one. Train on Colab makes a real one for free."
)
PLAN_UNKNOWN = (
    "Makes a new model from everything said in the channels it learns from. What fits this computer is found out "
    "first; Check this computer tells it before."
)
PLAN_SOME_BASE = "the base model"
PLAN_TIME, PLAN_TIME_UNKNOWN = "Takes about {time}.", "How long it takes is unknown until the first steps are done."
PLAN_PACKAGES = (
    "The packages for training are not here yet: some gigabytes are downloaded and installed first. You see it, and "
    "can cancel it."
)
PLAN_MEMORY, PLAN_MEMORY_OLD = "Needs {used} of memory; {free} were free.", "That was some time ago."
PLAN_PAUSES = "Memory is too tight for both: the bot pauses meanwhile and comes back by itself."
PLAN_STAYS = "The bot goes on meanwhile."
PLAN_END = "At the end you see how close it comes, and decide whether the bot uses it."
PLAN_END_PRACTICE = "A practice model replaces a real one only after a second question."
PLAN_GO_PRACTICE = "Make a practice model"
TRAINING_TAUGHT = "You all taught it {count} since."
RETRAIN_WHEN = {"hand": "Retrain by hand", "tonight": "Tonight at 02:00", "night": "At night"}
RETRAIN_EVERY = "Every {count} messages, at night"
RETRAIN_TONIGHT = "It trains tonight at 02:00, as long as this computer and the panel are on."
