import { createContext, Script } from 'node:vm';
import { Errors } from 'typebox/schema';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { jsonPath } from './schema-problems.ts';
import type { Problem } from './step.ts';

const MAX_SCHEMA_LENGTH = 64 * 1024;
/** A customer's regular expression may take exponential time; a check is stopped after this. */
const MAX_CHECK_MS = 50;
const MAX_PROBLEMS = 50;

/** A workflow's `trigger_data_json_schema`, ready to check data with. */
export type TriggerDataSchema = {
  readonly schema: JsonObject;
  /** Whether checking runs regular expressions of the customer's. */
  readonly patterns: boolean;
};

/** The schema of a workflow's trigger data; undefined when it has none. */
export function compileTriggerDataSchema(content: JsonObject): TriggerDataSchema | undefined {
  const schema = content.trigger_data_json_schema;
  if (!isJsonObject(schema) || Object.keys(schema).length === 0) return undefined;
  return { schema, patterns: /"(pattern|patternProperties)":/.test(JSON.stringify(schema)) };
}

/** Where a trigger's data breaks the workflow's schema; paths begin with `data`. */
export function triggerDataProblems(compiled: TriggerDataSchema, data: JsonObject): Problem[] {
  try {
    const check = () => Errors(compiled.schema, data)[1];
    const errors = compiled.patterns ? withinTime(check) : check();
    return errors
      .filter((error) => error.keyword !== 'boolean')
      .slice(0, MAX_PROBLEMS)
      .map((error) => ({ path: `data${jsonPath(error.instancePath)}`, reason: error.message }));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return [{ path: 'data', reason: `cannot be checked by the workflow's schema: ${reason}` }];
  }
}

/** What is wrong with a schema itself. */
export function triggerDataSchemaProblems(schema: unknown, path: string): Problem[] {
  if (!isJsonObject(schema)) return [];
  if (JSON.stringify(schema).length > MAX_SCHEMA_LENGTH) {
    return [{ path, reason: `has more than ${MAX_SCHEMA_LENGTH} characters` }];
  }
  return patternProblems(schema, path);
}

function patternProblems(value: unknown, path: string): Problem[] {
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => patternProblems(item, `${path}[${index}]`));
  }
  if (!isJsonObject(value)) return [];
  return Object.entries(value).flatMap(([key, item]) => {
    if (key !== 'pattern' || typeof item !== 'string')
      return patternProblems(item, `${path}.${key}`);
    try {
      new RegExp(item, 'u');
      return [];
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return [{ path: `${path}.pattern`, reason }];
    }
  });
}

let guard: { readonly script: Script; readonly holder: { check?: () => unknown } } | undefined;

// V8 stops a regular expression only together with the script that called it.
function withinTime<Result>(check: () => Result): Result {
  guard ??= { script: new Script('check()'), holder: createContext({}) };
  guard.holder.check = check;
  try {
    return guard.script.runInContext(guard.holder, { timeout: MAX_CHECK_MS }) as Result;
  } finally {
    delete guard.holder.check;
  }
}
