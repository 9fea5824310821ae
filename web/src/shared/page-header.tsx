type Place = 'demo' | 'messages' | 'reference';

/** The bar on top of each page: the mark, and the ways to the other pages. */
export function PageHeader({ place }: { readonly place: Place }) {
  return (
    <header className="page-header">
      <a className="mark" href="/" aria-label="Belfry, demo page">
        <Mark />
        <span>Belfry</span>
      </a>
      <nav aria-label="Pages">
        <a href="/" aria-current={place === 'demo' ? 'page' : undefined}>
          Demo
        </a>
        <a href="/dev/messages" aria-current={place === 'messages' ? 'page' : undefined}>
          Messages
        </a>
        <a href="/docs" aria-current={place === 'reference' ? 'page' : undefined}>
          API <span className="wide-only">reference</span>
        </a>
      </nav>
    </header>
  );
}

/** The mark by itself. */
export function Mark() {
  return (
    <svg viewBox="0 0 32 32" width="30" height="30" aria-hidden="true">
      <path className="mark-wall" d="M4 31V15a12 12 0 0 1 24 0v16z" />
      <path className="mark-opening" d="M8 31V15.500a8 8 0 0 1 16 0V31z" />
      <path d="M9 11h14" stroke="#8f6a2a" strokeWidth="2" />
      <path
        d="M16 11.500c-2.600 0-3.600 1.400-3.900 4-.4 3.600-1 5.400-2.700 7.200-.6.700-.2 1.300.6 1.300h12c.8 0 1.200-.6.6-1.300-1.700-1.800-2.300-3.600-2.700-7.200-.3-2.600-1.300-4-3.900-4z"
        fill="#e2b552"
      />
      <circle cx="16" cy="25.600" r="1.800" fill="#b98731" />
    </svg>
  );
}
