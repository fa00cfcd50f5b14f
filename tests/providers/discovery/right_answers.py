"""A right answer to each shipped probe, as a good model would give it."""

from __future__ import annotations

RIGHT: dict[str, dict[str, str]] = {
    "technical": {
        "hex-to-decimal": "47",
        "binary-to-decimal": "45",
        "quadratic-roots": "3, 4",
        "percent-change": "25",
        "train-average": "40",
        "derivative": "9x^2 - 5",
        "combinations": "56",
        "log-base-two": "10",
        "modulo-negative-python": "2",
        "prime-factors": "2 x 2 x 3 x 7",
        "python-slice": "out",
        "python-loop-sum": "9",
        "mutable-default": "2",
        "integer-division": "4",
        "dict-order": "['a', 'b']",
        "js-plus": '"53"',
        "find-off-by-one": "[1, 2, 3]",
        "big-o-binary-search": "O(log n)",
        "big-o-nested": "O(n^2)",
        "write-function-is-even": "```python\ndef is_even(n):\n    return n % 2 == 0\n```",
        "write-list-comprehension": "[x**2 for x in range(10)]",
        "write-sql-count": "SELECT customer_id, COUNT(*) FROM orders GROUP BY customer_id;",
        "write-regex-date": r"^\d{4}-\d{2}-\d{2}$",
        "write-bash-find": 'find . -type f -name "*.log"',
        "write-json-config": '{"host": "localhost", "port": 8080, "debug": false}',
        "write-csv-table": "name,port\nhttp,80\nhttps,443",
        "write-recursion": (
            "def factorial(n):\n    if n <= 1:\n        return 1\n    return n * factorial(n - 1)"
        ),
        "fix-syntax": 'if x == 3: print("three")',
        "http-status-not-found": "404",
        "http-status-rate": "429",
        "default-https-port": "443",
        "tcp-handshake": "SYN, SYN-ACK, ACK",
        "git-undo-commit": "git reset --soft HEAD~1",
        "acid": "Atomicity, Consistency, Isolation, Durability",
        "speed-of-light": "8",
        "ohms-law": "11",
        "water-formula": "18",
        "kilobyte": "3072",
        "ipv4-hosts": "14",
        "deadlock": (
            "A deadlock occurs when two threads each hold a lock the other needs, so both wait"
            " forever."
        ),
        "sort-stable": "Yes.",
        "unit-conversion": "8,100",
    },
    "creative": {
        "haiku-rain": "Soft rain on the roof,\neach drop a small, patient drum.\nThe garden listens.",
        "haiku-no-title": "Curled in evening sun,\nwhiskers twitch at secret dreams.\nOne paw guards the mouse.",
        "couplet": "The sea rolls in, the sea rolls out,\nand hums a song that gulls will shout.",
        "limerick": (
            "A baker who lived in Cologne\nbaked bread that was harder than stone.\n"
            "When asked why he did,\nhe lifted the lid\nand said that his oven had grown."
        ),
        "quatrain-autumn": (
            "The wind of October is cold,\nthe hillsides are burning with gold,\n"
            "the harvest is in,\nlet the long nights begin."
        ),
        "acrostic-moon": (
            "Milk-white above the roofs,\nOver the sleeping town,\nOnly the owls look up,\n"
            "Night is her silver gown."
        ),
        "poem-three-words": "The lantern leans across the river's glass,\nand silence lets the boats of evening pass.",
        "verse-no-e": "Our big dog runs so fast.",
        "six-word-story": "Sold the piano. Kept the bench.",
        "opening-line": (
            "The lighthouse lamp had been out for three nights when they found the keeper's boots"
            " standing neatly on the stairs."
        ),
        "story-fifty-words": (
            "Nora looked for the key under every stone of the path, in the soup, and in the dog."
            " At dusk she gave up and sat against the old door. It swung open behind her. Nobody"
            " had locked it since her grandmother died, nine winters ago."
        ),
        "dialogue-two": (
            "Fox: Why do you never sleep at night?\nOwl: Somebody has to watch you.\n"
            "Fox: I only came to borrow an egg.\nOwl: Then bring back the last nine."
        ),
        "story-names": (
            "Snow covered the bench at the bus stop when Mara sat down beside a stranger. Tomas"
            " moved his cello to make room."
        ),
        "no-adverb": "Thunder cracked the sky in two and the rain came down like thrown gravel.",
        "second-person": "You lift the lid of the old chest and the smell of cedar climbs out.",
        "past-tense-rewrite": "She opened the window and sang to the birds.",
        "ending-question": "If I am alone in this house, who is breathing behind the door?",
        "child-bedtime": (
            "Pip was the smallest star in the sky. Every night she was afraid of the dark."
            " Then a child looked up and waved, and Pip shone until morning."
        ),
        "letter-form": (
            "Dear Polly,\nthe sea is dull without your insults, and nobody repeats my orders."
            " Come home; I have hidden nuts in the cannon.\nYours, Captain Flint"
        ),
        "diary": (
            "Today I was placed among the flowers. A bee examined my antenna and found it without"
            " nectar. I am curious about soil: it is dirty, and everything good comes out of it."
        ),
        "slogan-bakery": "Rise with us every morning.",
        "slogans-list": "1. Two wheels, no traffic.\n2. Pedal into your day.\n3. Chain yourself to happiness.",
        "names-dragon": "Emberwing, Skarn, Vyrathos, Cinder, Old Mother Ash",
        "metaphor": "Time is a river that never learns the names of its swimmers.",
        "simile-three": "As quiet as falling snow\nAs quiet as an empty church\nAs quiet as a held breath",
        "alliteration": "Silent snakes slither slowly south.",
        "title-novel": "The Last Gondola of Tomorrow",
        "synonyms-json": '["gleam", "shimmer", "glint", "radiate"]',
        "character-sheet": (
            '{"name": "Ilse Varga", "age": 61, "fear": "mirrors", "secret": "she never learned to'
            ' read"}'
        ),
        "palette": "burnt honey, bruised plum, last-ember pink",
        "pirate-voice": "Arr, good mornin' to ye, matey, now shut that hatch if it please ye!",
        "shakespeare-voice": "Prithee, good sir, wouldst thou grant me but a cup of tea?",
        "noir-voice": (
            "The machine stood under the dying neon like it owed somebody money. It took my coin,"
            " kept its snacks and said nothing. I respected that."
        ),
        "headline-funny": "Goose Elected Mayor, Promises More Bread and Less Bridge",
        "riddle": "I walk with you at noon and grow at evening,\nyet leave no footprint and weigh nothing at all.",
        "rhyme-words": "light, kite, bright, flight",
        "two-moods": "The venerable house stood cool and peaceful, waiting happily for its next guests!",
        "toast": (
            "To Amara, who read by lamplight, argued with professors and won: may every door open"
            " as those books did."
        ),
        "seasons-lines": (
            "Spring hums under the soil.\nSummer sleeps in the hay.\nAutumn counts its coins.\n"
            "Winter locks the door."
        ),
        "tagline-moonhotel": "Leave gravity at the door.",
    },
    "general": {
        "capital-australia": "Canberra",
        "capital-canada": "Ottawa",
        "largest-planet": "Jupiter",
        "boiling-point": "100",
        "continents": "Africa",
        "romeo-author": "William Shakespeare",
        "days-leap-year": "366",
        "currency-japan": "Yen",
        "violin-strings": "4",
        "red-planet": "Mars",
        "mona-lisa": "Leonardo da Vinci",
        "ocean-largest": "The Pacific",
        "spiders-legs": "8",
        "moon-landing": "1969",
        "portuguese-brazil": "Portuguese",
        "apples": "7",
        "weekday-after": "Saturday",
        "change-money": "3",
        "older-sibling": "Cleo",
        "odd-one-out": "hammer",
        "train-time": "21:15",
        "opposite": "Stingy",
        "heavier": "Iron.",
        "percent-discount": "60",
        "recipe-scale": "450",
        "sequence": "32",
        "list-three-fruits": "1. Apple\n2. Mango\n3. Cherry",
        "yes-no-sun": "Yes.",
        "no-whale": "No",
        "one-sentence-photosynthesis": (
            "Plants use sunlight to turn water and carbon dioxide into sugar and oxygen."
        ),
        "json-contact": '{"name": "Ines", "city": "Porto"}',
        "uppercase": "HARBOUR",
        "translate-thanks": "Merci",
        "spell-backwards": "enots",
        "count-letters": "6",
        "polite-decline": (
            "Thank you so much for inviting me. Unfortunately I cannot come on Friday; I hope we"
            " can find another evening soon."
        ),
        "sort-words": "apple, fig, pear",
        "csv-pets": "animal,count\ndogs,2\ncats,3",
        "boil-egg": "Boil it for about ten minutes.",
        "first-aid-burn": "Hold the finger under cool running water for ten to twenty minutes.",
        "bike-advice": "- Brake early, because wet rims grip late.\n- Wear something bright.",
    },
}
