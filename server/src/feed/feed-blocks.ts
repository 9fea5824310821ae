import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { markdownToHtml, safeUrl } from './markdown.ts';

type ContentBlock = {
  readonly type: 'markdown' | 'text';
  readonly name: string;
  /** The template's source. */
  readonly content: string;
  readonly rendered: string;
};

type ButtonSetBlock = {
  readonly type: 'button_set';
  readonly name: string;
  readonly buttons: readonly {
    readonly name: string;
    readonly label: string;
    readonly action: string;
  }[];
};

export type FeedBlock = ContentBlock | ButtonSetBlock;

/**
 * The blocks of a feed item, from what the step rendered (`body` in markdown, `action_url`,
 * `actions`) and the template it came from, where the version still has the step.
 */
export function feedBlocks(content: JsonObject, template: JsonObject | null): FeedBlock[] {
  const body = text(content.body);
  const blocks: FeedBlock[] = [
    {
      type: 'markdown',
      name: 'body',
      content: text(template?.markdown_body, body),
      rendered: markdownToHtml(body),
    },
  ];
  if (typeof content.action_url === 'string') {
    blocks.push({
      type: 'text',
      name: 'action_url',
      content: text(template?.action_url, content.action_url),
      rendered: safeUrl(content.action_url),
    });
  }
  if (Array.isArray(content.actions) && content.actions.length > 0) {
    blocks.push({ type: 'button_set', name: 'actions', buttons: buttons(content.actions) });
  }
  return blocks;
}

function buttons(actions: readonly unknown[]): ButtonSetBlock['buttons'] {
  return actions.filter(isJsonObject).map((action, index) => ({
    name: text(action.name, index === 0 ? 'primary' : 'secondary'),
    label: text(action.label),
    action: safeUrl(text(action.action)),
  }));
}

function text(value: unknown, otherwise = ''): string {
  return typeof value === 'string' ? value : otherwise;
}
