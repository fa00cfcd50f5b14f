"""The page's boards, for whoever looks at all of them."""

BOARDS = {
    "Compare": "#compare .rt-models",
    "Overview": "#overview .rt-tile",
    "Ranking": "#priorities .rt-rank",
    "Log": "#log-rows .rt-link",
    "Providers": "#providers .rt-provider-card",
    "Dry run": "#route .rt-nothing",
    "Knowledge": "#documents h2",
    "Find models": "#candidates .rt-nothing",
    "Settings": "#settings td",
}
"""Each board and what it shows once it is there."""
