/** Rings once at a time; set and cleared as often as one likes. */
export type Alarm = {
  /** Rings in so many milliseconds, unless it is set already: then at the time it was set to. */
  readonly set: (inMs: number) => void;
  readonly clear: () => void;
};

export function createAlarm(ring: () => void): Alarm {
  let timer: NodeJS.Timeout | undefined;
  return {
    set: (inMs) => {
      timer ??= setTimeout(() => {
        timer = undefined;
        ring();
      }, inMs);
    },
    clear: () => {
      clearTimeout(timer);
      timer = undefined;
    },
  };
}
