import { useEffect, useEffectEvent, useState } from 'react';
import {
  type Filter,
  isMessageType,
  type MessageSummary,
  messageTypes,
  typeNames,
} from './messages.ts';

type FiltersProps = {
  readonly filter: Filter;
  readonly onChange: (filter: Filter) => void;
  /** What is shown now: their recipients and workflows are offered. */
  readonly messages: readonly MessageSummary[];
};

/** What to look for: a type, a recipient, a workflow. */
export function Filters({ filter, onChange, messages }: FiltersProps) {
  return (
    <form className="filters" aria-label="Look for" onSubmit={(event) => event.preventDefault()}>
      <label>
        <span className="unseen">Type</span>
        <select
          value={filter.type}
          onChange={({ target: { value } }) =>
            onChange({ ...filter, type: isMessageType(value) ? value : '' })
          }
        >
          <option value="">All types</option>
          {messageTypes.map((type) => (
            <option key={type} value={type}>
              {typeNames[type]}
            </option>
          ))}
        </select>
      </label>
      <TextFilter
        label="Recipient"
        value={filter.recipient}
        offered={messages.map(({ recipientId }) => recipientId)}
        onChange={(recipient) => onChange({ ...filter, recipient })}
      />
      <TextFilter
        label="Workflow"
        value={filter.workflow}
        offered={messages.map(({ workflow }) => workflow)}
        onChange={(workflow) => onChange({ ...filter, workflow })}
      />
    </form>
  );
}

type TextFilterProps = {
  readonly label: string;
  readonly value: string;
  readonly offered: readonly string[];
  readonly onChange: (value: string) => void;
};

const pauseMs = 300;

/** Takes effect when nothing was typed for a moment. */
function TextFilter({ label, value, offered, onChange }: TextFilterProps) {
  const [typed, setTyped] = useState(value);
  const commit = useEffectEvent(() => onChange(typed.trim()));
  useEffect(() => setTyped(value), [value]);
  useEffect(() => {
    if (typed.trim() === value) return;
    const timer = setTimeout(commit, pauseMs);
    return () => clearTimeout(timer);
  }, [typed, value]);
  const list = `offered-${label}`;
  return (
    <label>
      <span className="unseen">{label}</span>
      <input
        type="search"
        placeholder={label}
        list={list}
        value={typed}
        onChange={({ target }) => setTyped(target.value)}
      />
      <datalist id={list}>
        {[...new Set(offered)].map((item) => (
          <option key={item} value={item} />
        ))}
      </datalist>
    </label>
  );
}
