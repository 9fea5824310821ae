const ERRORS = {
  UNKNOWN_TABLE: { number: 60, status: 404 },
  SYNTAX_ERROR: { number: 62, status: 400 },
  UNKNOWN_DATABASE: { number: 81, status: 404 },
  TOO_MANY_SIMULTANEOUS_QUERIES: { number: 202, status: 500 },
  MEMORY_LIMIT_EXCEEDED: { number: 241, status: 500 },
  AUTHENTICATION_FAILED: { number: 516, status: 403 },
} as const;

/** An error as ClickHouse answers with over HTTP: a code in a header, and in the text. */
export class ClickHouseError extends Error {
  readonly type: keyof typeof ERRORS;

  constructor(type: keyof typeof ERRORS, message: string) {
    super(message);
    this.name = 'ClickHouseError';
    this.type = type;
  }

  get status(): number {
    return ERRORS[this.type].status;
  }

  get number(): number {
    return ERRORS[this.type].number;
  }

  /** The whole answer's body. */
  text(version: string): string {
    return `Code: ${this.number}. DB::Exception: ${this.message} (${this.type}) (version ${version} (official build))\n`;
  }
}
