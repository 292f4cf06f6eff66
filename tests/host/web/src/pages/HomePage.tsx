import { TextLink } from '@grafana/ui';
import { listPages } from '../Navigation';
import { PluginPage } from '../PluginPage';
import { useAsync } from '../useAsync';

/** What the host can show. */
export function HomePage() {
  const { value: pages = [] } = useAsync(listPages, '');
  return (
    <PluginPage pageNav={{ text: 'Plugin host' }} subTitle="This is not Grafana: only the plugin is shown.">
      <ul>
        {pages.map(({ to, text }) => (
          <li key={to}>
            <TextLink href={to}>{text}</TextLink>
          </li>
        ))}
      </ul>
    </PluginPage>
  );
}
