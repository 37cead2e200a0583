/** Curves as one SVG: a panel for each, logarithmic along x where x spans more than a factor of 20. */
import type { Curve } from './bar.ts';

const PANEL = { width: 360, height: 260, left: 56, right: 16, top: 34, bottom: 44 };
const COLORS = ['#1f6feb', '#d1603d', '#2da44e', '#8250df'];

/** The whole picture, curves side by side. */
export function picture(curves: readonly Curve[]): string {
  const width = PANEL.width * curves.length;
  const panels = curves.map(
    (curve, index) => `<g transform="translate(${PANEL.width * index} 0)">${panel(curve)}</g>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${PANEL.height}" font-family="sans-serif" font-size="11">
<title>${escaped(curves.map(({ title }) => title).join(', '))}</title>
<rect width="100%" height="100%" fill="#fff"/>
${panels.join('\n')}
</svg>
`;
}

function panel({ title, xLabel, yLabel, series }: Curve): string {
  const points = series.flatMap((one) => one.points);
  const xs = points.map(([x]) => x);
  const [low, high] = [Math.min(...xs), Math.max(...xs)];
  const isLog = low > 0 && high / low > 20;
  const along = (x: number) =>
    isLog ? Math.log(x / low) / Math.log(high / low) : (x - low) / (high - low || 1);
  const top = Math.max(...points.map(([, y]) => y)) * 1.1;
  const right = PANEL.width - PANEL.right;
  const bottom = PANEL.height - PANEL.bottom;
  const px = (x: number) => round(PANEL.left + along(x) * (right - PANEL.left));
  const py = (y: number) => round(bottom - (y / top) * (bottom - PANEL.top));
  const ticks = [...new Set(xs)]
    .filter((_, index, all) => index % Math.ceil(all.length / 5) === 0)
    .map((x) => `<text x="${px(x)}" y="${bottom + 16}" text-anchor="middle">${short(x)}</text>`);
  const heights = [0, 0.5, 1].map((share) => (share * top) / 1.1);
  const grid = heights.map(
    (y) =>
      `<line x1="${PANEL.left}" y1="${py(y)}" x2="${right}" y2="${py(y)}" stroke="#ddd"/>` +
      `<text x="${PANEL.left - 6}" y="${py(y) + 4}" text-anchor="end">${short(y)}</text>`,
  );
  const lines = series.map(({ points: line }, index) => {
    const color = COLORS[index % COLORS.length];
    const path = line.map(([x, y]) => `${px(x)},${py(y)}`).join(' ');
    const dots = line.map(([x, y]) => `<circle cx="${px(x)}" cy="${py(y)}" r="2.5" fill="${color}"/>`);
    return `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="1.5"/>${dots.join('')}`;
  });
  return [
    `<text x="${PANEL.left}" y="18" font-weight="bold">${escaped(title)}</text>`,
    ...grid,
    ...ticks,
    ...lines,
    `<text x="${right}" y="${PANEL.height - 8}" text-anchor="end">${escaped(xLabel)}</text>`,
    `<text x="${PANEL.left}" y="30" fill="#666">${escaped(yLabel)}</text>`,
  ].join('\n');
}

const round = (value: number) => Math.round(value * 10) / 10;
const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/** 1500000 as 1.5M, 0.4213 as 0.42. */
function short(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (value >= 1e3) return `${Number((value / 1e3).toPrecision(3))}k`;
  return `${Number(value.toPrecision(2))}`;
}
