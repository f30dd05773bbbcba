"""Moods and the search words of matching items; an unknown mood is its own search word."""

from collections.abc import Mapping, Sequence

MOODS: Mapping[str, Sequence[str]] = {
    "happy": ("happy", "happiness", "joy", "fun", "funny", "comedy", "smile", "laughter", "celebration"),
    "sad": ("sad", "sadness", "comfort", "healing", "hope", "grief", "heartbreak", "kindness"),
    "calm": ("calm", "peace", "meditation", "mindfulness", "relaxation", "relaxing", "nature", "breathing", "yoga"),
    "stressed": ("calm", "relief", "meditation", "breathing", "relaxation", "mindfulness", "yoga", "balance"),
    "angry": ("calm", "patience", "forgiveness", "breathing", "mindfulness", "understanding"),
    "motivated": ("motivation", "motivational", "success", "goal", "goals", "discipline", "ambition", "achievement"),
    "inspired": ("inspiration", "inspirational", "inspiring", "creativity", "dream", "dreams", "vision", "story"),
    "energetic": ("energy", "workout", "fitness", "dance", "sport", "sports", "adventure", "music"),
    "curious": ("science", "technology", "learning", "education", "discovery", "history", "facts", "knowledge"),
    "romantic": ("love", "romance", "romantic", "relationship", "relationships", "couple", "marriage"),
    "grateful": ("gratitude", "grateful", "thankful", "blessing", "kindness", "appreciation"),
    "bored": ("fun", "funny", "comedy", "adventure", "game", "games", "challenge", "discovery"),
    "anxious": ("calm", "anxiety", "breathing", "courage", "confidence", "comfort", "meditation"),
}


def words_of(mood: str) -> Sequence[str]:
    """Return the search words of a mood."""
    return MOODS.get(mood.strip().casefold(), (mood.strip(),))
