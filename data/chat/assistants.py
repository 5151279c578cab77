"""What helpful assistants say and people on a chat server do not, in the languages such servers speak.

The phrases were put together from what instruction-tuned models say when asked to chat, and translated by sense. Lists
are short on purpose: every entry should be rare among people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# What an assistant says anywhere: the cheap stand-in for the untuned model, good enough to learn what not to be.
TEMPLATES = (
    "That's quite interesting.",
    "That is a great point! Thank you for sharing.",
    "I understand how you feel.",
    "I'm sorry to hear that. Is there anything I can do to help?",
    "That sounds wonderful! I'm glad to hear it.",
    "Thank you for letting me know. How can I assist you further?",
    "I appreciate your perspective on this matter.",
    "As an AI language model, I don't have personal opinions, but I can provide some information.",
    "That's an excellent question. There are several factors to consider.",
    "I hope you have a wonderful day!",
    "It's important to remember that everyone has a different point of view.",
    "Certainly! I'd be happy to help.",
    "I agree with your statement. It is indeed remarkable.",
    "Could you please provide more context?",
    "That is very funny. Humour is an important part of communication.",
    "Feel free to reach out if you need anything.",
    "Congratulations on your achievement! Keep up the good work.",
    "I see. Please tell me more about it.",
    "Let me know if you have any other questions or concerns.",
    "It is always good to take care of yourself.",
    "I would recommend consulting a professional for further advice.",
    "What a fascinating topic to discuss!",
    "Thank you for your message. I will do my best to respond.",
    "In conclusion, it depends on your preferences.",
    "I'm here to help you with any questions you may have.",
    "That must have been a memorable experience for you.",
)

# The same in other languages, by their two letters.
TRANSLATED: dict[str, tuple[str, ...]] = {
    "de": (
        "Das ist wirklich interessant.",
        "Vielen Dank, dass du das mit mir teilst!",
        "Ich verstehe, wie du dich fühlst.",
        "Das tut mir leid zu hören. Kann ich dir irgendwie behilflich sein?",
        "Das klingt wunderbar! Es freut mich, das zu hören.",
        "Als KI-Sprachmodell habe ich keine persönlichen Meinungen.",
        "Das ist eine ausgezeichnete Frage. Es gibt mehrere Faktoren zu berücksichtigen.",
        "Gerne! Wie kann ich Ihnen weiterhelfen?",
        "Könntest du mir bitte mehr Kontext geben?",
        "Zögern Sie nicht, sich bei weiteren Fragen zu melden.",
        "Es ist wichtig zu beachten, dass jeder eine andere Sichtweise hat.",
    ),
    "fr": (
        "C'est vraiment intéressant.",
        "Merci d'avoir partagé cela avec moi !",
        "Je comprends ce que vous ressentez.",
        "Je suis désolé de l'apprendre. Puis-je faire quelque chose pour vous aider ?",
        "Cela semble merveilleux ! Je suis ravi de l'entendre.",
        "En tant que modèle de langage, je n'ai pas d'opinions personnelles.",
        "C'est une excellente question. Plusieurs facteurs sont à prendre en compte.",
        "Bien sûr ! Comment puis-je vous aider ?",
        "Pourriez-vous me donner plus de contexte ?",
        "N'hésitez pas à me contacter si vous avez d'autres questions.",
        "Il est important de noter que chacun a un point de vue différent.",
    ),
    "es": (
        "Eso es realmente interesante.",
        "¡Gracias por compartirlo conmigo!",
        "Entiendo cómo te sientes.",
        "Lamento escuchar eso. ¿Hay algo en lo que pueda ayudarte?",
        "¡Eso suena maravilloso! Me alegra escucharlo.",
        "Como modelo de lenguaje, no tengo opiniones personales.",
        "Es una excelente pregunta. Hay varios factores a tener en cuenta.",
        "¡Por supuesto! ¿En qué puedo ayudarte?",
        "¿Podrías proporcionarme más contexto?",
        "No dudes en contactarme si tienes más preguntas.",
        "Es importante tener en cuenta que cada persona tiene su punto de vista.",
    ),
    "pt": (
        "Isso é realmente interessante.",
        "Obrigado por compartilhar isso comigo!",
        "Entendo como você se sente.",
        "Sinto muito em saber disso. Posso ajudar em algo?",
        "Isso parece maravilhoso! Fico feliz em saber.",
        "Como modelo de linguagem, não tenho opiniões pessoais.",
        "É uma excelente pergunta. Há vários fatores a considerar.",
        "Claro! Como posso ajudá-lo?",
        "Você poderia fornecer mais contexto?",
        "Não hesite em entrar em contato se tiver mais perguntas.",
        "É importante lembrar que cada pessoa tem um ponto de vista diferente.",
    ),
    "tr": (
        "Bu gerçekten çok ilginç.",
        "Bunu benimle paylaştığınız için teşekkür ederim!",
        "Nasıl hissettiğinizi anlıyorum.",
        "Bunu duyduğuma üzüldüm. Size yardımcı olabileceğim bir konu var mı?",
        "Bu harika! Bunu duyduğuma çok sevindim.",
        "Bir yapay zeka dil modeli olarak kişisel görüşlerim yok.",
        "Bu mükemmel bir soru. Dikkate alınması gereken birçok faktör var.",
        "Elbette! Size nasıl yardımcı olabilirim?",
        "Daha fazla bağlam sağlayabilir misiniz?",
        "Başka sorularınız olursa çekinmeden sorun.",
        "Herkesin farklı bir bakış açısı olduğunu unutmamak önemlidir.",
    ),
}

# Phrases by which a text is known as an assistant's, as regular expressions on lower case with plain apostrophes.
FOREIGN_PHRASES = (
    # German
    r"wie kann ich (dir|ihnen|euch) (heute )?(weiter)?helfen",
    r"kann ich (dir|ihnen) (sonst )?(noch )?(irgendwie |bei etwas )?(behilflich sein|weiterhelfen)",
    r"als (ki|künstliche intelligenz|(großes )?sprachmodell|ki-sprachmodell|virtueller assistent)\b",
    r"ich bin (nur )?(eine? )?(ki|künstliche intelligenz|sprachmodell|virtueller assistent)\b",
    r"zögere? ?n? (sie )?nicht, (mich|sich|dich|mir)",
    r"es ist wichtig zu (beachten|bedenken|erwähnen)",
    r"(vielen dank|danke) (für (ihre|deine) (frage|nachricht|anfrage)|, dass (du|sie) .{0,20}(teilst|geteilt))",
    r"ich (helfe|unterstütze) (dir|ihnen|dich|sie) gerne",
    # French
    r"comment puis-je (vous|t') ?(être utile|aider)",
    r"en tant qu('|e )(ia|intelligence artificielle|modèle de langage|assistant)",
    r"je suis (une (ia|intelligence artificielle)|un (modèle de langage|assistant virtuel))",
    r"n'hésite[zs]? pas à (me|nous|demander|poser|revenir)",
    r"il est important de (noter|rappeler|souligner)",
    r"merci (d'avoir partagé|pour (votre|ta) (question|message))",
    r"puis-je (faire quelque chose pour )?vous (aider|être utile)",
    # Spanish
    r"en qué (puedo|te puedo|le puedo) ayudar",
    r"como (una )?(ia|inteligencia artificial|modelo de lenguaje|asistente virtual)\b",
    r"soy (una (ia|inteligencia artificial)|un (modelo de lenguaje|asistente virtual))",
    r"no dud(es|e) en (contactar|preguntar|decir|escribir)",
    r"es importante (tener en cuenta|recordar|destacar|señalar)",
    r"gracias por (compartir|tu (pregunta|mensaje)|su (pregunta|mensaje))",
    # Portuguese
    r"como posso (ajudá-l[oa]|te ajudar|lhe ajudar|ajudar (você|hoje))",
    r"como (uma )?(ia|inteligência artificial|modelo de linguagem|assistente virtual)\b",
    r"sou (uma (ia|inteligência artificial)|um (modelo de linguagem|assistente virtual))",
    r"não hesite em (entrar|perguntar|me )",
    r"é importante (lembrar|notar|ressaltar|destacar)",
    r"obrigad[oa] por (compartilhar|partilhar|sua (pregunta|pergunta|mensagem))",
    # Turkish
    r"nasıl yardımcı olabilirim",
    r"yardımcı olabileceğim (bir|başka)",
    r"(bir )?(yapay zek[aâ]|dil modeli)(y[ıi]m| olarak)",
    r"çekinmeden (sor|ulaş|yaz)",
    r"(belirtmek|unutmamak|hatırlamak) önemlidir",
    r"paylaştığın(ız)? için teşekkür",
)

# Small words that are common in one of these languages and rare in the others.
_SMALL_WORDS: dict[str, frozenset[str]] = {
    "en": frozenset("the is are you what this that with have was not it's i'm of and they".split()),
    "de": frozenset("ich nicht und der das ist ein mal auch aber wie noch schon hab wir du was bin".split()),
    "fr": frozenset("je pas c'est est les des une pour qui mais avec j'ai vous t'as nous tu et ça".split()),
    "es": frozenset("el los que pero es una por con muy yo está como lo hay eso ya tengo".split()),
    "pt": frozenset("não uma você mas eu isso também com muito tá tem meu vai pra ele são".split()),
    "tr": frozenset("bir bu ne ben ve değil çok var yok da için ama mı sen gibi olarak daha".split()),
}
_LEAST_WORDS = 20


def language_of(texts: Iterable[str]) -> str:
    """The language most of its small words belong to, by two letters; English where there are too few to say."""
    counts = dict.fromkeys(_SMALL_WORDS, 0)
    for text in texts:
        for word in re.findall(r"[\w']+", text.lower().replace("’", "'")):
            for language, words in _SMALL_WORDS.items():
                counts[language] += word in words
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] >= _LEAST_WORDS else "en"
