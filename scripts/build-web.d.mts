export type WebBuild =
  | { readonly kind: 'built' | 'fresh' }
  /** `reason` says what to do instead. */
  | { readonly kind: 'impossible'; readonly reason: string };

/** Makes sure that `web/dist` is there and belongs to the sources. */
export function buildWeb(): Promise<WebBuild>;
