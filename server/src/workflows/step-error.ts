export type StepErrorCode =
  | 'recipient_address_missing'
  | 'no_channel'
  | 'invalid_request_template'
  | 'call_refused'
  | 'invalid_json'
  | 'window_missing'
  | 'too_large'
  | 'no_target'
  | 'too_deep'
  | 'attachment_invalid'
  | 'not_triggered';

/** Why a step cannot be done for this recipient. Trying again would give the same. */
export class StepError extends Error {
  readonly code: StepErrorCode;

  constructor(code: StepErrorCode, message: string) {
    super(message);
    this.name = 'StepError';
    this.code = code;
  }
}
