export type TemplateErrorCode = 'template_syntax_error' | 'template_render_error';

/** A template that cannot be parsed or, for one recipient's data, not be rendered. */
export class TemplateError extends Error {
  readonly code: TemplateErrorCode;
  /** Where in the template, from 1. */
  readonly line?: number;
  readonly column?: number;

  constructor(
    code: TemplateErrorCode,
    message: string,
    position?: readonly [line: number, column: number],
  ) {
    super(position ? `${message} (line ${position[0]}, column ${position[1]})` : message);
    this.name = 'TemplateError';
    this.code = code;
    if (position) {
      this.line = position[0];
      this.column = position[1];
    }
  }
}
