"""Writes pages.jsonl: short science pages of our own (Apache-2.0), two for each of the paper's nine disciplines."""

from __future__ import annotations

import json
from pathlib import Path

PAGES = {
    "mathematics": [
        (
            "Counting with the inclusion-exclusion principle",
            "How many whole numbers from 1 to 100 are divisible by 2 or by 3? There are 50 multiples of 2 and 33 multiples of 3, "
            "but the sum of the two counts the multiples of 6 twice. There are 16 of those, so the answer is 50 + 33 - 16 = 67. "
            "This is the inclusion-exclusion principle for two sets: the size of a union is the sum of the sizes minus the size of "
            "the intersection. For three sets one adds the sizes of the single sets, subtracts those of the pairwise "
            "intersections, and adds back that of the triple intersection. The principle turns a question about 'or' into "
            "questions about 'and', which are often easier. It also gives the number of derangements, that is, of permutations "
            "in which nothing stays in its place: for n objects it is close to n! divided by e, and for four objects it is 9.",
        ),
        (
            "Arithmetic and geometric means",
            "The arithmetic mean of two positive numbers a and b is (a + b)/2, and their geometric mean is the square root of ab. "
            "The geometric mean is never greater, and the two are equal only if a equals b. To see this, note that the square of "
            "the difference of the square roots, a - 2 sqrt(ab) + b, cannot be negative. A rectangle with sides a and b has the "
            "same area as a square whose side is the geometric mean, and the same perimeter as a square whose side is the "
            "arithmetic mean. So among all rectangles with a perimeter of 40 cm the square with sides of 10 cm has the greatest "
            "area, 100 square centimetres. Growth rates are averaged by the geometric mean: a quantity that grows by 25% and then "
            "falls by 20% is back where it began, since 1.25 times 0.80 is 1.",
        ),
    ],
    "physics": [
        (
            "Free fall near the ground",
            "Near the ground every body that falls freely gains about 9.8 metres per second of speed in each second, whatever its "
            "mass, as long as the resistance of the air can be neglected. A stone that is dropped from rest has a speed of 19.6 "
            "metres per second after two seconds, and has fallen half of 9.8 times the square of two, which is 19.6 metres. "
            "Doubling the time of the fall doubles the final speed but makes the distance four times as long. The kinetic energy "
            "at the end equals the potential energy at the beginning, m g h, so that the speed at the ground is the square root "
            "of 2 g h and does not depend on the mass. With air, bodies reach a terminal speed at which the drag balances the "
            "weight; for a skydiver with limbs spread that is roughly 55 metres per second.",
        ),
        (
            "Resistors in series and in parallel",
            "In a series circuit the same current flows through all resistors, and their resistances add up: 4 ohms and 6 ohms in "
            "series make 10 ohms. Connected to a battery of 20 volts they carry a current of 2 amperes, and the voltages across "
            "them are 8 and 12 volts. In parallel the voltage across all resistors is the same and the currents add up, so the "
            "reciprocals of the resistances are summed: 4 ohms and 6 ohms in parallel make 2.4 ohms. The combined resistance is "
            "always smaller than the smallest of the branches, because each further branch opens another way for the current. "
            "Electrical power is voltage times current. Household appliances are connected in parallel, so that each gets the "
            "full voltage and can be switched off without the others.",
        ),
    ],
    "chemistry": [
        (
            "Moles and molar mass",
            "A mole is 6.022 times ten to the 23rd particles. The molar mass of a substance is the mass of one mole of it; for "
            "water it is 2 times 1.0 for hydrogen plus 16.0 for oxygen, that is 18.0 grams per mole. So 90 grams of water are 5 "
            "moles. When hydrogen burns, two moles of hydrogen react with one mole of oxygen to two moles of water; to make 90 "
            "grams of water one needs 5 moles, or 10 grams, of hydrogen and 2.5 moles, or 80 grams, of oxygen. The masses on both "
            "sides are equal, as the law of conservation of mass demands. If there is less of one reactant than the equation "
            "asks for, it is the limiting reactant, and decides how much product can form; what is left of the other stays "
            "unchanged.",
        ),
        (
            "Acids, bases and the pH scale",
            "The pH of a solution is the negative decimal logarithm of the concentration of hydrogen ions in moles per litre. Pure "
            "water at 25 degrees Celsius has a concentration of ten to the minus seven, so its pH is 7. A solution of pH 4 has a "
            "thousand times as many hydrogen ions as one of pH 7, because each step of the scale is a factor of ten. Strong acids "
            "such as hydrochloric acid are dissociated almost completely: 0.01 moles in a litre give a pH of 2. Weak acids such as "
            "acetic acid are dissociated only in part, and the pH of an equally concentrated solution is higher. A buffer contains "
            "a weak acid and its conjugate base in similar amounts; it takes up added acid or base with little change of pH. Blood "
            "is buffered near 7.4, mainly by carbonic acid and hydrogencarbonate.",
        ),
    ],
    "biology": [
        (
            "How peas taught the rules of inheritance",
            "Gregor Mendel crossed pea plants with round seeds and pea plants with wrinkled seeds. All plants of the first "
            "generation had round seeds. When these were crossed among each other, about three quarters of the next generation had "
            "round seeds and one quarter had wrinkled ones: of 7,324 seeds 5,474 were round. Each plant carries two copies of the "
            "factor, today called alleles, and passes one of them on to each of its offspring by chance. The allele for round is "
            "dominant, so one copy of it is enough; wrinkled seeds appear only in plants with two recessive alleles. Crossing a "
            "round-seeded plant with a wrinkled-seeded one shows which alleles it carries: if any of its offspring are wrinkled, "
            "it has one copy of each. Such a test cross gives half round and half wrinkled seeds on average.",
        ),
        (
            "Osmosis and plant cells",
            "Water moves through a membrane that is permeable to water but not to salts or sugars from the side where there is less "
            "dissolved towards the side where there is more. This is osmosis. A plant cell in pure water takes water up until the "
            "pressure of its wall stops the flow; the cell is turgid, and it is this pressure that keeps leaves and young stems "
            "upright. In a strong salt solution water leaves the cell, the membrane shrinks away from the wall, and the plant "
            "wilts: the cell is plasmolysed. An animal cell has no wall. Red blood cells burst in pure water and shrivel in "
            "concentrated salt solutions, which is why fluids for infusions contain 0.9% of sodium chloride, as much dissolved as "
            "the cells themselves.",
        ),
    ],
    "astronomy": [
        (
            "Kepler's third law",
            "The square of the time that a planet needs to go round the Sun is proportional to the cube of its mean distance from "
            "the Sun. With years and astronomical units the two are equal. Jupiter is 5.2 units away; the cube of 5.2 is 140.6, "
            "and its square root, 11.9 years, is Jupiter's period. A planet at four units would need eight years. Newton showed "
            "that the law follows from gravity, and that the constant contains the mass of the central body: for the moons of "
            "Jupiter the same law holds with Jupiter's mass in place of the Sun's. So distances and periods of satellites weigh "
            "the body that they circle. The mass of the Sun, 330,000 times that of the Earth, was found in this way, and so are "
            "those of double stars.",
        ),
        (
            "How far the stars are",
            "In the course of a year the Earth moves from one side of its orbit to the other, and near stars shift against distant "
            "ones. Half of this shift is the parallax. A star with a parallax of one second of arc is one parsec away, which is "
            "3.26 light years, and the distance in parsecs is one divided by the parallax in seconds of arc. Proxima Centauri has "
            "a parallax of 0.768 seconds of arc, so it is 1.30 parsecs or 4.24 light years away. No star has a parallax of a whole "
            "second. The first was measured in 1838 by Friedrich Bessel for 61 Cygni. From the ground one reaches some hundred "
            "parsecs; the satellite Gaia measures parallaxes to some hundred-thousandths of a second of arc.",
        ),
    ],
    "earth science": [
        (
            "Plates that move",
            "The outer shell of the Earth is broken into about a dozen large plates that move by some centimetres a year. At the "
            "Mid-Atlantic Ridge two plates move apart at 2.5 centimetres a year, and molten rock rises and solidifies between them. "
            "At that rate an ocean 5,000 kilometres wide opens in 200 million years, which fits the age of the oldest floor of the "
            "Atlantic. Where plates meet, the denser one sinks below the other; deep trenches, earthquakes and chains of volcanoes "
            "mark such zones, around most of the Pacific. Where two continents meet neither sinks easily, and mountains such as the "
            "Himalaya are folded up. The magnetism of the sea floor shows stripes, the same on both sides of a ridge, since the "
            "cooling rock keeps the direction of a magnetic field that has often reversed.",
        ),
        (
            "Why air cools as it rises",
            "Air that rises comes under lower pressure, expands, and cools without losing heat to its surroundings. As long as it "
            "is unsaturated it cools by about 9.8 degrees Celsius for every kilometre. Once it is cooled to its dew point, water "
            "condenses, heat is set free, and the cooling slows to about 5 or 6 degrees a kilometre. Air that rises over a mountain "
            "of two kilometres, and is saturated from one kilometre on, cools by 9.8 and then by about 5.5 degrees; on the other "
            "side it sinks as dry air and warms by 19.6 degrees. It arrives some four degrees warmer than it began, and dry: this "
            "is the warm wind that is called foehn in the Alps and chinook in North America.",
        ),
    ],
    "medicine": [
        (
            "What a test result means",
            "A test for a disease finds 99% of those who have it, which is its sensitivity, and is negative in 95% of those who do "
            "not, which is its specificity. If one person in a hundred has the disease, then of 10,000 people 100 are ill, and 99 of "
            "them test positive; of the 9,900 healthy ones 5%, that is 495, test positive too. So only 99 of 594 positive results, "
            "about 17%, come from ill people. This share is the positive predictive value, and it depends on how common the disease "
            "is: among people of whom half are ill the same test would be right in 95% of its positive results. That is why a "
            "positive result in a screening of healthy people is followed by a second, different test.",
        ),
        (
            "Half-lives of medicines",
            "Many medicines are removed from the blood at a rate proportional to how much of them is there. Then the time in which "
            "the amount falls to one half is always the same, and is called the half-life. Caffeine has one of about five hours in "
            "adults: of 200 milligrams drunk at noon 100 are left at five o'clock and 50 at ten at night. When doses are repeated at "
            "equal intervals, the amount rises until as much is removed between two doses as one dose adds; this steady state is "
            "reached to about 97% after five half-lives, whatever the dose. After the last dose it takes as long until nearly all "
            "is gone. A larger first dose, the loading dose, reaches the level at once.",
        ),
    ],
    "computer science": [
        (
            "Binary search",
            "To find a name among a million names that are sorted, one looks at the middle one and goes on in the half that must "
            "contain it. Each look halves what is left, so 20 looks are enough, since two to the power of 20 is 1,048,576. Looking "
            "through the list from the beginning takes half a million looks on average. Binary search needs sorted data and access "
            "to any position in constant time; in a linked list getting to the middle takes as long as walking there. Its running "
            "time grows with the logarithm of the length: doubling the list costs one look more. A common mistake is an interval "
            "that does not shrink when two positions are left, which makes the loop run forever; another is to add two large indices "
            "before halving, which overflows in languages with integers of fixed size.",
        ),
        (
            "Hash tables",
            "A hash table stores entries in an array at positions computed from their keys. A good hash function spreads keys evenly, "
            "so that on average few keys share a position. With 1,000 positions and 500 entries the load factor is 0.5. When entries "
            "that share a position are kept in a list, a look-up that fails inspects as many entries as the load factor on average. "
            "Once the load factor passes a limit, often 0.75, the table is made twice as large and all entries are placed anew; "
            "since this happens rarely, the cost of an insertion stays constant on average. In the worst case all keys share one "
            "position, and a look-up takes as long as in a list. Programs that store keys from strangers therefore add a secret "
            "number to the hash function.",
        ),
    ],
    "general education": [
        (
            "The printing press",
            "Around 1450 Johannes Gutenberg in Mainz began to print with movable metal type. Single letters were cast in moulds, set "
            "into lines and pages, inked, and pressed on paper; afterwards the type could be used again. His Bible, finished about "
            "1455, has 1,282 pages, and some 180 copies were made, of which 49 survive in whole or in part. A scribe needed about a "
            "year or more for one Bible. By 1500 there were presses in more than 200 towns of Europe, and over eight million books "
            "had been printed. Prices fell to a fraction. Printing made texts alike: scholars in different towns could speak of the "
            "same page, and errors, once found, could be mended in the next edition. In Korea books had been printed with metal type "
            "since the thirteenth century; the oldest that survives, the Jikji, is of 1377.",
        ),
        (
            "Supply, demand and price",
            "In a market with many buyers and sellers the price tends to the level at which as much is offered as is asked for. If the "
            "price of apples is above it, sellers are left with apples and lower their prices; below it, buyers go away with empty "
            "hands and offer more. A bad harvest shifts the supply: at every price there is less, the price rises and the quantity "
            "falls. How strongly buyers react is measured by the elasticity of demand, the change in quantity in percent divided by "
            "the change in price in percent. If a price rise of 10% lowers sales by 4%, the elasticity is 0.4, demand is called "
            "inelastic, and the revenue rises, since 1.10 times 0.96 is about 1.056. Goods without close substitutes, such as salt, "
            "have a small elasticity; one brand of salt among many has a large one.",
        ),
    ],
}


def main() -> None:
    """Writes the file beside this one."""
    lines = [
        json.dumps(
            {
                "text": f"{title}\n\n{text}",
                "url": f"https://{discipline.replace(' ', '-')}.example.org/{number}",
                "language": "en",
                "licence": "Apache-2.0",
            }
        )
        for discipline, pages in PAGES.items()
        for number, (title, text) in enumerate(pages)
    ]
    Path(__file__).with_name("pages.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
