/** The text of the document: `code` in backticks, and paragraphs. */
export function Prose({ children }: { readonly children: string }) {
  return children.split('\n\n').map((paragraph) => (
    <p key={paragraph}>
      <Inline>{paragraph}</Inline>
    </p>
  ));
}

/** One line of it. */
export function Inline({ children }: { readonly children: string }) {
  return children.split('`').map((part, index) =>
    // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a fixed text have no other name
    index % 2 === 1 ? <code key={index}>{part}</code> : <span key={index}>{part}</span>,
  );
}
