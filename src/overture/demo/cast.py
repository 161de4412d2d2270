"""The demo's people: figures of operas and fables with surnames from the orchestra. Nobody is real."""

import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """One of the cast. `topic` is what strangers ask them about; without `plans` they are Basic."""

    name: str
    headline: str
    employer: str
    location: str
    time_zone: str
    topic: str
    plans: tuple[str, ...] = ()
    open_profile: bool = False
    accept_inmail: bool = True

    @property
    def about(self) -> str:
        return _ABOUT.get(self.name, "")

    @property
    def handle(self) -> str:
        plain = unicodedata.normalize("NFKD", self.name).encode("ascii", "ignore").decode()
        return plain.lower().replace(" ", "-")

    @property
    def first_name(self) -> str:
        return self.name.split()[0]

    @property
    def company(self) -> str:
        return f"{self.employer} (fictional)"


CAREER = ("premium_career",)
BUSINESS = ("premium_business",)
SALES = ("sales_navigator_core",)
RECRUITER = ("recruiter_lite",)

CAST = (
    Part(
        "Figaro Fermata",
        "Founder and barber of record",
        "Figaro & Daughters",
        "Seville",
        "Europe/Madrid",
        "shop floors that run themselves",
        (*BUSINESS, *RECRUITER),
    ),
    Part(
        "Rosina Rondo",
        "Letter designer",
        "Balcony Stationery",
        "Seville",
        "Europe/Madrid",
        "letters that get an answer",
        CAREER,
    ),
    Part(
        "Nemorino Nonet",
        "Farmhand, learning to sell",
        "Elixir Orchard",
        "Bilbao",
        "Europe/Madrid",
        "selling cider to people who like it",
        CAREER,
    ),
    Part(
        "Gretel Guitar",
        "Building inspector for edible houses",
        "Gingerbread Surveyors",
        "Nuremberg",
        "Europe/Berlin",
        "load-bearing gingerbread",
    ),
    Part(
        "Isolde Interlude",
        "Ferry line director",
        "Cornish Crossings",
        "Galway",
        "Europe/Dublin",
        "timetables that survive the tide",
        BUSINESS,
        open_profile=True,
    ),
    Part(
        "Tatyana Tarantella",
        "Head of long-form letters",
        "Nightlamp Editions",
        "Tallinn",
        "Europe/Tallinn",
        "editing letters written at night",
        BUSINESS,
    ),
    Part(
        "Papageno Piccolo",
        "Bird supply lead",
        "Magic Flute Aviaries",
        "Vienna",
        "Europe/Vienna",
        "catching birds without a net",
        SALES,
    ),
    Part(
        "Papagena Pavane",
        "Family programmes",
        "Magic Flute Aviaries",
        "Vienna",
        "Europe/Vienna",
        "onboarding large families",
        CAREER,
    ),
    Part(
        "Tamino Tremolo",
        "Trial manager, fire and water",
        "Sun Temple Energy",
        "Cairo",
        "Africa/Cairo",
        "trials that people finish",
        CAREER,
    ),
    Part(
        "Pamina Prelude",
        "Portrait restorer",
        "Locket & Likeness",
        "Prague",
        "Europe/Prague",
        "restoring small portraits",
    ),
    Part(
        "Sarastro Subito",
        "Chair",
        "Sun Temple Energy",
        "Cairo",
        "Africa/Cairo",
        "running a temple on sunlight",
        BUSINESS,
        accept_inmail=False,
    ),
    Part(
        "Carmen Castanet",
        "Head of rhythm",
        "Dragoon Dance Supply",
        "Seville",
        "Europe/Madrid",
        "castanets that survive a tour",
        BUSINESS,
        open_profile=True,
    ),
    Part(
        "Escamillo Encore",
        "Ring events",
        "Red Cape Events",
        "Mexico City",
        "America/Mexico_City",
        "arenas without bulls",
        SALES,
    ),
    Part(
        "Micaela Mazurka",
        "Courier across the mountains",
        "Village Post",
        "Pamplona",
        "Europe/Madrid",
        "delivering one letter safely",
    ),
    Part(
        "Tosca Timpani",
        "Stage safety officer",
        "Parapet & Co.",
        "Rome",
        "Europe/Rome",
        "railings on high stages",
        BUSINESS,
    ),
    Part(
        "Scarpia Staccato",
        "Compliance",
        "Castle Gate Audits",
        "Rome",
        "Europe/Rome",
        "audits nobody enjoys",
        RECRUITER,
    ),
    Part(
        "Leporello Largo",
        "Keeper of lists",
        "One Thousand and Three Records",
        "Naples",
        "Europe/Rome",
        "lists that stay in order",
        (*CAREER, *SALES),
    ),
    Part(
        "Zerlina Zither",
        "Wedding planner",
        "Hand in Hand Weddings",
        "Naples",
        "Europe/Rome",
        "weddings interrupted politely",
        CAREER,
    ),
    Part(
        "Masetto Marimba",
        "Orchard foreman",
        "Hand in Hand Weddings",
        "Naples",
        "Europe/Rome",
        "orchards on steep ground",
    ),
    Part(
        "Ottavio Oboe",
        "Patience consultant",
        "Tomorrow Partners",
        "Lisbon",
        "Europe/Lisbon",
        "projects that can wait",
        CAREER,
    ),
    Part(
        "Giovanni Gavotte",
        "Between engagements",
        "Stone Guest Dining",
        "Lisbon",
        "Europe/Lisbon",
        "dinner parties",
        CAREER,
    ),
    Part(
        "Violetta Vibrato",
        "Florist",
        "Camellia Cut Flowers",
        "Paris",
        "Europe/Paris",
        "flowers that last a season",
        CAREER,
        open_profile=True,
    ),
    Part(
        "Alfredo Alto",
        "Country house restorer",
        "Three Months in the Country",
        "Lyon",
        "Europe/Paris",
        "heating old country houses",
        CAREER,
    ),
    Part(
        "Rigoletto Reprise",
        "Comedy writer",
        "Hunch & Daughters",
        "Mantua",
        "Europe/Rome",
        "jokes for difficult bosses",
    ),
    Part(
        "Gilda Glockenspiel",
        "Ladder safety",
        "Hunch & Daughters",
        "Mantua",
        "Europe/Rome",
        "ladders against balconies",
        CAREER,
    ),
    Part(
        "Maddalena Mandolin",
        "Innkeeper",
        "The River Inn",
        "Mantua",
        "Europe/Rome",
        "inns on a river bank",
    ),
    Part(
        "Aida Arpeggio",
        "Tomb ventilation engineer",
        "Nile & Delta Air",
        "Khartoum",
        "Africa/Khartoum",
        "fresh air in sealed rooms",
        BUSINESS,
    ),
    Part(
        "Radames Refrain",
        "Parade logistics",
        "Elephant Freight",
        "Cairo",
        "Africa/Cairo",
        "moving elephants on time",
        SALES,
    ),
    Part(
        "Amneris Adagio",
        "Head of people",
        "Elephant Freight",
        "Cairo",
        "Africa/Cairo",
        "hiring for very old firms",
        RECRUITER,
    ),
    Part(
        "Turandot Tempo",
        "Security questions",
        "Three Riddles Identity",
        "Singapore",
        "Asia/Singapore",
        "riddles nobody can guess",
        (*BUSINESS, *SALES),
    ),
    Part(
        "Calaf Cadenza",
        "Night operations",
        "Nobody Sleeps Monitoring",
        "Tashkent",
        "Asia/Tashkent",
        "night shifts that end at dawn",
        CAREER,
    ),
    Part(
        "Mimi Minuet",
        "Embroiderer",
        "Cold Hands Textiles",
        "Paris",
        "Europe/Paris",
        "embroidery in unheated rooms",
        CAREER,
    ),
    Part(
        "Rodolfo Rubato",
        "Copywriter who burns drafts",
        "Garret Copy",
        "Paris",
        "Europe/Paris",
        "manuscripts as fuel",
    ),
    Part(
        "Musetta Musette",
        "Café owner",
        "Second Act Café",
        "Montréal",
        "America/Toronto",
        "cafés with one loud table",
        CAREER,
        open_profile=True,
    ),
    Part(
        "Schaunard Scherzo",
        "Parrot accompanist",
        "Garret Copy",
        "Montréal",
        "America/Toronto",
        "playing until the parrot stops",
    ),
    Part(
        "Colline Coda",
        "Second-hand coats",
        "Faithful Overcoats",
        "Edinburgh",
        "Europe/London",
        "saying goodbye to coats",
        CAREER,
    ),
    Part(
        "Tristan Trombone",
        "Ship's pharmacist",
        "Cornish Crossings",
        "Galway",
        "Europe/Dublin",
        "labels on identical bottles",
        CAREER,
    ),
    Part(
        "Brünnhilde Bassoon",
        "Airborne rescue lead",
        "Valkyrie Air Rescue",
        "Reykjavík",
        "Atlantic/Reykjavik",
        "landing on wet rock",
        RECRUITER,
    ),
    Part(
        "Wotan Waltz",
        "Infrastructure, over budget",
        "Rainbow Bridge Construction",
        "Oslo",
        "Europe/Oslo",
        "castles delivered late",
        BUSINESS,
    ),
    Part(
        "Alberich Alphorn",
        "Metallurgist",
        "Rhine Rings",
        "Basel",
        "Europe/Zurich",
        "rings with side effects",
        SALES,
        accept_inmail=False,
    ),
    Part(
        "Erda Euphonium",
        "Long-range forecasting",
        "Deep Earth Advisory",
        "Oslo",
        "Europe/Oslo",
        "forecasts nobody asks for",
        CAREER,
        open_profile=True,
    ),
    Part(
        "Siegfried Sonatina",
        "Apprentice smith",
        "Forge of Two",
        "Bergen",
        "Europe/Oslo",
        "mending broken blades",
    ),
    Part(
        "Lohengrin Legato",
        "Operator, references not given",
        "Swan Ferries",
        "Antwerp",
        "Europe/Brussels",
        "boats drawn by swans",
        BUSINESS,
        accept_inmail=False,
    ),
    Part(
        "Elsa Ensemble",
        "Interviewer",
        "The Forbidden Question",
        "Antwerp",
        "Europe/Brussels",
        "asking the one question",
        BUSINESS,
    ),
    Part(
        "Hansel Harmonica",
        "Trail marking",
        "Breadcrumb Maps",
        "Nuremberg",
        "Europe/Berlin",
        "trails that birds leave alone",
        CAREER,
    ),
    Part(
        "Rusalka Reed",
        "Freshwater biologist",
        "Moon over Water",
        "Brno",
        "Europe/Prague",
        "lakes by moonlight",
    ),
    Part(
        "Onegin Octave",
        "Returns department",
        "Too Late Retail",
        "Tallinn",
        "Europe/Tallinn",
        "answering years later",
        CAREER,
    ),
    Part(
        "Lensky Lute",
        "Poet on call",
        "Nightlamp Editions",
        "Tallinn",
        "Europe/Tallinn",
        "verses at sunrise",
    ),
    Part(
        "Orfeo Organ",
        "Back office, never looks back",
        "Underworld Transfers",
        "Athens",
        "Europe/Athens",
        "return journeys without a glance",
        CAREER,
    ),
    Part(
        "Euridice Euphony",
        "Passenger services",
        "Underworld Transfers",
        "Athens",
        "Europe/Athens",
        "following at a distance",
    ),
    Part(
        "Dido Dulcimer",
        "City planner",
        "New Carthage Planning",
        "Tunis",
        "Africa/Tunis",
        "measuring a city with a hide",
        RECRUITER,
    ),
    Part(
        "Aeneas Accordion",
        "Always about to leave",
        "Seven Ships Travel",
        "Tunis",
        "Africa/Tunis",
        "packing at short notice",
        SALES,
    ),
    Part(
        "Dulcamara Drum",
        "Tonics, retail and wholesale",
        "Elixir Orchard",
        "Bilbao",
        "Europe/Madrid",
        "bottles with honest labels",
        SALES,
    ),
    Part(
        "Adina Allegro",
        "Farm owner who reads",
        "Elixir Orchard",
        "Bilbao",
        "Europe/Madrid",
        "reading aloud at harvest",
        BUSINESS,
    ),
    Part(
        "Falstaff Fanfare",
        "Identical letters at scale",
        "Laundry Basket Mailings",
        "Bristol",
        "Europe/London",
        "sending one letter twice",
        SALES,
    ),
    Part(
        "Tortoise Treble",
        "Delivery, slow and certain",
        "Slow & Steady Freight",
        "Honolulu",
        "Pacific/Honolulu",
        "arriving first without hurry",
        CAREER,
    ),
    Part(
        "Hare Hornpipe",
        "Same-day sprints",
        "Nap at Noon Couriers",
        "Auckland",
        "Pacific/Auckland",
        "naps in the lead",
        CAREER,
    ),
    Part(
        "Fox Flageolet",
        "Vineyard buyer",
        "Sour Grapes Imports",
        "Adelaide",
        "Australia/Adelaide",
        "grapes out of reach",
        RECRUITER,
    ),
    Part(
        "Ant Andante",
        "Treasurer",
        "Winter Stores Savings",
        "Kyoto",
        "Asia/Tokyo",
        "saving in summer",
        CAREER,
    ),
    Part(
        "Cricket Cymbal",
        "Summer music",
        "Sing Now Festivals",
        "Kyoto",
        "Asia/Tokyo",
        "festivals before the frost",
        open_profile=True,
    ),
)

# What some of them say about themselves.
_ABOUT = {
    "Figaro Fermata": (
        "I run a barber shop in Seville that also books, mends, tunes and carries letters. Most"
        " days all of it is asked for at once.\n\n"
        "Ask me about shop floors that run themselves, or about razors."
    ),
    "Rosina Rondo": (
        "I draw alphabets for letters that people keep. Before that I learned to write short "
        "notes quickly, from a balcony.\n\n"
        "Happy to look at your first three lines."
    ),
    "Nemorino Nonet": (
        "I grew up between apple trees. Now I sell what they give, to people who like it, and I"
        " am still learning how to begin a conversation."
    ),
    "Gretel Guitar": (
        "Twelve years of inspecting houses that should not be eaten. I write about roofs, ovens"
        " and the way home."
    ),
    "Isolde Interlude": (
        "Three ferry lines, one tide. I plan timetables that still hold when the wind does not.\n\n"
        "My profile is open: write to me about piers, crews or patience."
    ),
    "Tatyana Tarantella": (
        "I edit letters that were written at night, and advise which of them to send in the "
        "morning."
    ),
    "Papageno Piccolo": (
        "Birds, supplied with their consent. I am on the road from spring to autumn, and answer"
        " from the aviary in between."
    ),
    "Tamino Tremolo": (
        "I plan trials by fire and by water, so that those who begin them also finish.\n\n"
        "Silence is part of my work; I do answer letters."
    ),
    "Carmen Castanet": (
        "Rhythm for companies that dance and for those that would like to. I look for workshops"
        " that build castanets to last a tour."
    ),
    "Escamillo Encore": (
        "Arenas full of people and free of bulls. I travel with a small crew and a large red cape."
    ),
    "Tosca Timpani": (
        "I measure railings. Whoever has a high stage hears from me before the first night."
    ),
    "Leporello Largo": (
        "Lists in order, by country and by year. One thousand and three entries, and each can "
        "be found."
    ),
    "Ottavio Oboe": (
        "Some projects should wait. I help people to see which, and to be at peace with it "
        "until tomorrow."
    ),
    "Violetta Vibrato": (
        "Camellias, cut the same morning. I supply evening parties, and prefer to be home "
        "before them."
    ),
    "Gilda Glockenspiel": (
        "Ladders against balconies, at the right angle. I train crews all over Lombardy."
    ),
    "Aida Arpeggio": (
        "Fresh air for rooms that nobody expected to be closed. I work between Khartoum and Cairo."
    ),
    "Radames Refrain": ("Forty elephants, one route, no delay. Parades are logistics with music."),
    "Falstaff Fanfare": (
        "One letter, two readers, no difference between them. I learned the hard way why that "
        "does not work, and tell everyone who asks."
    ),
    "Tortoise Treble": (
        "Slow and certain. Every parcel that I began to carry has arrived, most of them before "
        "the others."
    ),
    "Ant Andante": (
        "I put something aside every summer, and help others to do the same. Winter is a date, "
        "and can be planned for."
    ),
    "Cricket Cymbal": (
        "Festivals from May until the first frost. I never saved a coin, and never missed an "
        "opening night."
    ),
}
