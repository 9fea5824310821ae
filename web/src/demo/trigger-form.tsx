import { type FormEvent, useId, useState } from 'react';
import type { DemoWorkflow } from './demo-config.ts';
import { type Example, examples, people } from './examples.ts';

export type Sending = {
  readonly example: Example;
  readonly actor: string;
  readonly text: string;
  readonly webhookUrl: string;
};

type TriggerFormProps = {
  readonly workflows: readonly DemoWorkflow[];
  readonly onSend: (sending: Sending) => void;
};

/** Picks one of the example workflows, fills it in, sends it. */
export function TriggerForm({ workflows, onSend }: TriggerFormProps) {
  const id = useId();
  const published = new Set(workflows.map((workflow) => workflow.key));
  const offered = examples.filter((example) => published.has(example.key));
  const [key, setKey] = useState(offered[0]?.key);
  const [actor, setActor] = useState(people[0] ?? '');
  const [texts, setTexts] = useState<Readonly<Record<string, string>>>({});
  const [webhookUrl, setWebhookUrl] = useState('');
  const example = offered.find((candidate) => candidate.key === key) ?? offered[0];
  if (!example) return null;
  const text = texts[example.key] ?? example.text;

  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSend({ example, actor, text, webhookUrl });
  };

  return (
    <form className="trigger" onSubmit={submit}>
      <h2>Trigger the example workflow</h2>
      <fieldset>
        <legend>Workflow</legend>
        <div className="choices">
          {offered.map((candidate) => (
            <label key={candidate.key} className="choice">
              <input
                type="radio"
                name="workflow"
                value={candidate.key}
                checked={candidate.key === example.key}
                onChange={() => setKey(candidate.key)}
              />
              <span>
                <strong>{candidate.label}</strong>
                <small>{candidate.does}</small>
              </span>
            </label>
          ))}
        </div>
      </fieldset>
      <div className="fields">
        <label htmlFor={`${id}actor`}>From</label>
        <select id={`${id}actor`} value={actor} onChange={(event) => setActor(event.target.value)}>
          {people.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
        <label htmlFor={`${id}text`}>{example.textLabel}</label>
        <input
          id={`${id}text`}
          type="text"
          value={text}
          required
          maxLength={200}
          onChange={(event) => setTexts({ ...texts, [example.key]: event.target.value })}
        />
        {example.asksWebhook ? (
          <>
            <label htmlFor={`${id}webhook`}>Webhook</label>
            <input
              id={`${id}webhook`}
              type="url"
              value={webhookUrl}
              placeholder="https://… (optional)"
              onChange={(event) => setWebhookUrl(event.target.value)}
            />
          </>
        ) : null}
      </div>
      <button type="submit" className="send">
        Send notification
      </button>
    </form>
  );
}
