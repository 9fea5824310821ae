/** The next batch is loaded while one is sent. */
export async function* oneAhead<Item>(items: AsyncGenerator<Item>): AsyncGenerator<Item> {
  const take = (): Promise<IteratorResult<Item>> => {
    const next = items.next();
    // Nobody may be there any more to see it fail.
    next.catch(() => undefined);
    return next;
  };
  let next = take();
  for (;;) {
    const { done, value } = await next;
    if (done) return;
    next = take();
    yield value;
  }
}
