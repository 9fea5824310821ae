import { useId } from 'react';

type BellTowerProps = {
  /** A new count makes the bell swing once more. */
  readonly rings: number;
  /** Makes room on the right, for the open feed. */
  readonly aside?: boolean;
};

/** The page's picture: a bell in its arch. */
export function BellTower({ rings, aside = false }: BellTowerProps) {
  const id = useId();
  const url = (name: string) => `url(#${id}${name})`;
  return (
    <svg
      className="tower"
      viewBox="0 0 560 400"
      preserveAspectRatio="xMidYMax slice"
      aria-hidden="true"
    >
      <defs>
        <linearGradient id={`${id}sky`} x1="0" y1="0" x2="0" y2="1">
          <stop offset="0" className="sky-top" />
          <stop offset="0.62" className="sky-middle" />
          <stop offset="1" className="sky-low" />
        </linearGradient>
        <linearGradient id={`${id}brass`} x1="0" y1="0" x2="1" y2="0">
          <stop offset="0" stopColor="#7d5618" />
          <stop offset="0.22" stopColor="#d9a640" />
          <stop offset="0.36" stopColor="#f6dd97" />
          <stop offset="0.55" stopColor="#c8922f" />
          <stop offset="1" stopColor="#69460f" />
        </linearGradient>
        <clipPath id={`${id}arch`}>
          <path d="M128 400V182a152 152 0 0 1 304 0v218z" />
        </clipPath>
      </defs>

      <path className="wall-joints" d={joints} />
      <g className={aside ? 'arch aside' : 'arch'}>
        <path className="arch-ring" d="M104 400V182a176 176 0 0 1 352 0v218z" />
        <path className="arch-voussoirs" d={voussoirs} />
        <g clipPath={url('arch')}>
          <rect x="128" y="20" width="304" height="380" fill={url('sky')} />
          <g className="stars">
            {stars.map(([x, y, r]) => (
              <circle key={`${x}-${y}`} cx={x} cy={y} r={r} />
            ))}
          </g>
          <circle className="sun" cx="352" cy="318" r="25" />
          <path className="hills far" d="M120 342c52-30 92-16 138-4s96-26 182 4v60H120z" />
          <path className="hills near" d="M120 372c70-26 130-10 176-6s96-20 144-4v40H120z" />
          <path
            className="arch-shade"
            d="M128 400V182a152 152 0 0 1 304 0v218h-22V190a130 130 0 0 0-260 0v210z"
          />
        </g>

        <g key={`waves-${rings}`} className={rings > 0 ? 'waves ringing' : 'waves'}>
          <circle cx="280" cy="226" r="92" />
          <circle cx="280" cy="226" r="92" />
          <circle cx="280" cy="226" r="92" />
        </g>

        <path className="beam" d="M118 112h324v22H118z" />
        <path className="beam-light" d="M118 112h324v4H118z" />
        <g key={`bell-${rings}`} className={rings > 0 ? 'swing ringing' : 'swing'}>
          <path className="yoke" d="M236 128h88l-10 22h-68z" />
          <g className={rings > 0 ? 'clapper ringing' : 'clapper'}>
            <path d="M280 160v136" stroke="#4f3710" strokeWidth="6" />
            <circle cx="280" cy="304" r="15" fill="#8a6320" />
            <circle cx="275" cy="299" r="5" fill="#c79b45" />
          </g>
          <path
            fill={url('brass')}
            d="M280 150c-27 0-40 11-43 34-5 40-12 66-33 87-9 9-13 15-13 20 0 4 3 6 8 6h162c5 0 8-2 8-6 0-5-4-11-13-20-21-21-28-47-33-87-3-23-16-34-43-34z"
          />
          <path className="bell-line" d="M239 176c20 8 62 8 82 0M237 186c22 9 64 9 86 0" />
          <path className="bell-line" d="M209 266c40 14 102 14 142 0M202 275c44 16 112 16 156 0" />
          <path className="bell-lip" d="M191 291c0 4 3 6 8 6h162c5 0 8-2 8-6z" />
        </g>
      </g>
    </svg>
  );
}

const stars: readonly (readonly [number, number, number])[] = [
  [176, 190, 1.6],
  [210, 92, 1.2],
  [252, 66, 1.7],
  [318, 84, 1.3],
  [372, 150, 1.8],
  [398, 214, 1.2],
  [164, 262, 1.3],
  [344, 60, 1],
  [386, 262, 1],
];

/** Courses of the wall, each with its joints shifted. */
const joints = Array.from({ length: 9 }, (_, row) => {
  const y = 4 + row * 48;
  const shift = row % 2 === 0 ? 0 : 46;
  const uprights = Array.from({ length: 7 }, (_, column) => `M${shift + column * 92} ${y}v48`);
  return `M0 ${y}h560${uprights.join('')}`;
}).join('');

/** Joints between the arch's stones, at equal angles around its centre (280, 182). */
const voussoirs = Array.from({ length: 11 }, (_, index) => {
  const angle = Math.PI + ((index + 1) * Math.PI) / 12;
  const at = (radius: number) =>
    `${(280 + radius * Math.cos(angle)).toFixed(1)} ${(182 + radius * Math.sin(angle)).toFixed(1)}`;
  return `M${at(152)}L${at(176)}`;
})
  .join('')
  .concat(
    'M104 182h24M104 236h24M104 290h24M104 344h24M432 182h24M432 236h24M432 290h24M432 344h24',
  );
