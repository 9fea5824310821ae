import { useEffect, useState } from 'react';
import { type Loaded, loadMail, loadMails, type Mail, type MailSummary } from './mail.ts';

const pollMs = 2000;

/** The list, refreshed every two seconds while the page is visible. */
export function useMails(): Loaded<readonly MailSummary[]> | undefined {
  const [mails, setMails] = useState<Loaded<readonly MailSummary[]>>();
  useEffect(() => {
    let stopped = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const refresh = async () => {
      clearTimeout(timer);
      const loaded = await loadMails();
      if (stopped) return;
      setMails(loaded);
      if (!document.hidden) timer = setTimeout(refresh, pollMs);
    };
    const visibilityChanged = () => {
      if (!document.hidden) refresh();
    };
    refresh();
    document.addEventListener('visibilitychange', visibilityChanged);
    return () => {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', visibilityChanged);
    };
  }, []);
  return mails;
}

/** The e-mail with this id; undefined while it loads. */
export function useMail(id: string): Loaded<Mail> | undefined {
  const [current, setCurrent] = useState<{ readonly id: string; readonly mail: Loaded<Mail> }>();
  useEffect(() => {
    let stopped = false;
    loadMail(id).then((mail) => {
      if (!stopped) setCurrent({ id, mail });
    });
    return () => {
      stopped = true;
    };
  }, [id]);
  return current?.id === id ? current.mail : undefined;
}

/** The selected id lives in the address, so that a reload and the back button keep it. */
export function useSelectedId(): readonly [string, (id: string) => void] {
  const [id, setId] = useState(() => window.location.hash.slice(1));
  useEffect(() => {
    const changed = () => setId(window.location.hash.slice(1));
    window.addEventListener('hashchange', changed);
    return () => window.removeEventListener('hashchange', changed);
  }, []);
  return [
    id,
    (next) => {
      window.location.hash = next;
    },
  ];
}
