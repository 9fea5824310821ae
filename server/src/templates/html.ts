const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
};

/** Text that means itself in HTML, in element content and in quoted attributes. */
export function escapeHtml(text: string): string {
  return /[&<>"']/.test(text) ? text.replace(/[&<>"']/g, replacement) : text;
}

/** As `escapeHtml`, but what is an entity already stays as it is. */
export function escapeHtmlOnce(text: string): string {
  return text.replace(/&(?!(?:#\d+|#x[\da-f]+|\w+);)|[<>"']/gi, replacement);
}

function replacement(character: string): string {
  return ENTITIES[character] ?? character;
}
