import { createContext, Script } from 'node:vm';
import { Errors } from 'typebox/schema';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { jsonPath } from './json-path.ts';
import type { Problem } from './step.ts';

const MAX_SCHEMA_LENGTH = 64 * 1024;
/** A customer's schema may take exponential time; a check is stopped after this much of a processor's. */
const MAX_CHECK_MS = 100;
/** The clock goes on while others have the processor: a check that was stopped before it had its time gets longer. */
const WALL_MS = [MAX_CHECK_MS, 400, 2_000];
const MAX_PROBLEMS = 50;

// Keywords with which a check may take more time than reading the data: regular expressions,
// references (each level of them may double the work), and schemas that meet many values or meet
// a value many times.
const COSTLY =
  /"(?:pattern|patternProperties|format|\$ref|\$dynamicRef|\$recursiveRef|allOf|anyOf|oneOf|not|if|items|prefixItems|additionalItems|contains|uniqueItems|propertyNames|dependencies|dependentSchemas|unevaluatedItems|unevaluatedProperties)":|"additionalProperties":\{/;

/** A workflow's `trigger_data_json_schema`, ready to check data with. */
export type TriggerDataSchema = {
  readonly schema: JsonObject;
  /** Whether checking may take long and must be watched. */
  readonly isCostly: boolean;
};

/** The schema of a workflow's trigger data; undefined when it has none. */
export function compileTriggerDataSchema(content: JsonObject): TriggerDataSchema | undefined {
  const schema = content.trigger_data_json_schema;
  if (!isJsonObject(schema) || Object.keys(schema).length === 0) return undefined;
  return { schema, isCostly: COSTLY.test(JSON.stringify(schema)) };
}

/** Where a trigger's data breaks the workflow's schema; paths begin with `data`. */
export function triggerDataProblems(compiled: TriggerDataSchema, data: JsonObject): Problem[] {
  try {
    const check = () => Errors(compiled.schema, data)[1];
    const errors = compiled.isCostly ? withinTime(check) : check();
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

// V8 stops a regular expression, or a loop, only together with the script that called it.
function withinTime<Result>(check: () => Result): Result {
  guard ??= createGuard();
  guard.holder.check = check;
  const before = process.threadCpuUsage();
  try {
    for (const [attempt, timeout] of WALL_MS.entries()) {
      try {
        return guard.script.runInContext(guard.holder, { timeout }) as Result;
      } catch (error) {
        const { user, system } = process.threadCpuUsage(before);
        const hadItsTime = (user + system) / 1_000 >= MAX_CHECK_MS * 0.9;
        if (!isTimeout(error) || hadItsTime || attempt === WALL_MS.length - 1) throw error;
      }
    }
    throw new Error('took too long');
  } finally {
    delete guard.holder.check;
  }
}

/** The first check of a process takes long, whatever it checks: that is not the customer's time. */
function createGuard(): { readonly script: Script; readonly holder: { check?: () => unknown } } {
  const definitions = { name: { type: 'string', pattern: '^a' } };
  const items = { anyOf: [{ $ref: '#/definitions/name' }, { type: 'number' }] };
  const properties = { list: { type: 'array', items }, kind: { enum: ['a'] } };
  Errors({ type: 'object', definitions, properties, required: ['x'] }, { list: ['b', 1], kind: 2 });
  return { script: new Script('check()'), holder: createContext({}) };
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';
}
