import { css } from '@emotion/css';
import { type GrafanaTheme2 } from '@grafana/data';
import { useStyles2 } from '@grafana/ui';
import React from 'react';
import { type Service } from '../../api/types';
import { profileTypeLabel, sortProfileTypes, unitOf } from '../../model/profile_type';
import { formatValue } from '../../model/units';
import { type MillisRange } from '../../state/time';
import { Sparkline } from '../../ui/timeline/Sparkline';
import { exploreUrl, follow } from '../routes';
import { type Activity } from './useCpu';

interface Props {
  services: Service[];
  cpu: Map<string, Activity>;
  range: MillisRange;
  /** Handed on to the links, so that the next page shows the same time. */
  raw: { from: string; until: string; refresh: string };
}

/** One row a service: link, activity, profile types as links. */
export function ServicesTable({ services, cpu, range, raw }: Props) {
  const styles = useStyles2(getStyles);
  const { from, until, refresh } = raw;
  return (
    <table className={styles.table} data-testid="hearth-services-table">
      <thead>
        <tr>
          <th>Service</th>
          <th>Activity</th>
          <th>Profile types</th>
        </tr>
      </thead>
      <tbody>
        {services.map(({ name, profileTypes }) => (
          <tr key={name} data-testid={`hearth-service-row-${name}`}>
            <td>
              <ExploreLink className={styles.service} url={exploreUrl({ service: name, from, until, refresh })} text={name} />
            </td>
            <td>
              <ActivityCell activity={cpu.get(name)} range={range} />
            </td>
            <td>
              <div className={styles.types}>
                {sortProfileTypes(profileTypes).map((type) => (
                  <ExploreLink
                    key={type}
                    className={styles.type}
                    url={exploreUrl({ service: name, type, from, until, refresh })}
                    text={profileTypeLabel(type)}
                    title={type}
                  />
                ))}
              </div>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function ExploreLink({ url, text, title, className }: { url: string; text: string; title?: string; className: string }) {
  return (
    <a href={url} onClick={follow(url)} className={className} title={title}>
      {text}
    </a>
  );
}

function ActivityCell({ activity, range }: { activity: Activity | undefined; range: MillisRange }) {
  const styles = useStyles2(getStyles);
  if (!activity) {
    return null;
  }
  const total = `${formatValue(activity.total, unitOf(activity.type))} ${profileTypeLabel(activity.type)}`;
  return (
    <div className={styles.activity}>
      <Sparkline points={activity.points} range={range} label={total} />
      <span className={styles.total}>{total}</span>
    </div>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  table: css({
    width: '100%',
    marginTop: theme.spacing(2),
    'th, td': { padding: theme.spacing(1), textAlign: 'left', verticalAlign: 'middle' },
    th: { color: theme.colors.text.secondary, borderBottom: `1px solid ${theme.colors.border.medium}` },
    'tbody tr': { borderBottom: `1px solid ${theme.colors.border.weak}` },
    'th:first-child': { width: '25%' },
    'tbody tr:hover': { background: theme.colors.action.hover },
  }),
  service: css({ overflowWrap: 'anywhere', fontWeight: theme.typography.fontWeightMedium, color: theme.colors.text.link }),
  activity: css({ display: 'flex', alignItems: 'center', gap: theme.spacing(1) }),
  total: css({ color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize, whiteSpace: 'nowrap' }),
  types: css({ display: 'flex', flexWrap: 'wrap', gap: theme.spacing(0.5) }),
  type: css({
    padding: theme.spacing(0, 1),
    borderRadius: theme.shape.radius.pill,
    border: `1px solid ${theme.colors.border.medium}`,
    background: theme.colors.background.secondary,
    fontSize: theme.typography.bodySmall.fontSize,
    '&:hover': { borderColor: theme.colors.primary.border, color: theme.colors.text.link },
  }),
});
