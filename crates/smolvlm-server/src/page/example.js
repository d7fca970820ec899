// A random picture of the kind that the bundled model knows: colored shapes on a plain background.

const SIZE = 128;
/** Names and colors that the model was trained with. */
const COLORS = {
  red: "rgb(215 25 35)",
  green: "rgb(35 150 55)",
  blue: "rgb(35 75 220)",
  yellow: "rgb(245 222 40)",
  purple: "rgb(125 40 165)",
};
const BACKGROUNDS = ["rgb(236 236 232)", "rgb(214 222 230)", "rgb(232 222 206)"];
const SHAPES = { circle, square, triangle, star, diamond };

/** Draws shapes at random places of a grid of nine, and returns the picture as a file. */
export async function drawExample() {
  const canvas = document.createElement("canvas");
  canvas.width = SIZE;
  canvas.height = SIZE;
  const context = canvas.getContext("2d");
  context.fillStyle = shuffled(BACKGROUNDS)[0];
  context.fillRect(0, 0, SIZE, SIZE);
  const places = shuffled([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  const colors = shuffled(Object.values(COLORS));
  const shapes = shuffled(Object.values(SHAPES));
  const count = 2 + Math.floor(Math.random() * 3);
  for (let index = 0; index < count; index++) {
    const [column, row] = [places[index] % 3, Math.floor(places[index] / 3)];
    context.setTransform(15, 0, 0, 15, (SIZE * (2 * column + 1)) / 6, (SIZE * (2 * row + 1)) / 6);
    context.fillStyle = colors[index];
    context.beginPath();
    shapes[index](context);
    context.fill();
  }
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  return new File([blob], "example.png", { type: "image/png" });
}

function shuffled(items) {
  const keyed = items.map((item) => ({ item, key: Math.random() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}

function circle(context) {
  context.arc(0, 0, 1, 0, 2 * Math.PI);
}

function square(context) {
  context.rect(-0.84, -0.84, 1.68, 1.68);
}

function polygon(context, corners) {
  corners.forEach(([x, y]) => context.lineTo(x, y));
  context.closePath();
}

function triangle(context) {
  polygon(context, [[0, -1.1], [1.04, 0.8], [-1.04, 0.8]]);
}

function diamond(context) {
  polygon(context, [[0, -1.2], [0.8, 0], [0, 1.2], [-0.8, 0]]);
}

function star(context) {
  const corner = (_, index) => {
    const [radius, angle] = [index % 2 === 0 ? 1.2 : 0.52, (index * Math.PI) / 5];
    return [radius * Math.sin(angle), -radius * Math.cos(angle)];
  };
  polygon(context, Array.from({ length: 10 }, corner));
}
