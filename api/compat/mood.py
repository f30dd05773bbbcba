"""Moods, and the words by which what fits them is known; any other mood is its own word."""

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
    """Return the words of what fits a mood."""
    return MOODS.get(mood.strip().casefold(), (mood.strip(),))
