"""Commands of analysts: feeds of the past, exports, SQL, replays."""
